"""Bodies that come compressed and answers that are sent so, as clients meet them."""

import base64
import gzip
import io
import json
import zlib
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from service.media import png
from support.model_kinds import write_model_of_each_kind
from support.problem_json import check_problem
from support.service_process import ServiceProcess

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 8, 8), np.uint8)
TEXTS = [base64.b64encode(png.write(one)).decode() for one in PIXELS]
MAX_BYTES = 1 << 16
SCRIPT, STYLE = "/docs/assets/swagger-ui-bundle.js", "/playground/style.css"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("compressed")
    write_model_of_each_kind(root / "checkpoints")
    with ServiceProcess(root / "checkpoints", root / "log", max_body_bytes=MAX_BYTES) as process:
        yield process


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[httpx.Client]:
    """A client that takes what it is sent, and shows it as it came."""
    with service.client(headers={"Accept-Encoding": "gzip"}) as client:
        yield client


def raw(client: httpx.Client, method: str, path: str, **options: object) -> tuple[httpx.Response, bytes]:
    """Return an answer and its body as it came over the wire."""
    with client.stream(method, path, **options) as response:  # type: ignore[arg-type]
        return response, b"".join(response.iter_raw())


def post(client: httpx.Client, path: str, body: bytes, kind: str, encoding: str = "gzip") -> httpx.Response:
    headers = {"Content-Type": kind, "Content-Encoding": encoding}
    return client.post(path, content=body, headers=headers)


def test_an_answer_of_latents_is_compressed(client: httpx.Client):
    body = {"images": TEXTS, "model": "vae"}
    plain = client.post("/encode", json=body, headers={"Accept-Encoding": "identity"})
    response, packed = raw(client, "POST", "/encode", json=body)
    assert response.headers["content-encoding"] == "gzip"
    assert len(packed) < len(plain.content) * 0.7
    assert json.loads(gzip.decompress(packed))["latents"] == plain.json()["latents"]
    assert "content-encoding" not in plain.headers
    assert response.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["/models", "/openapi.json", "/metrics", SCRIPT, STYLE, "/v1/models"])
def test_what_is_text_and_large_is_compressed(client: httpx.Client, path: str):
    response, packed = raw(client, "GET", path)
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["content-length"] == str(len(packed))
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    if path not in {"/metrics", "/models"}:  # whose numbers and request id change
        assert gzip.decompress(packed) == plain.content
    assert len(packed) < len(plain.content) / 2


@pytest.mark.parametrize(
    "accept", ["application/json", "image/png", "application/zip", "application/x-ndjson"]
)
def test_images_are_not_compressed(client: httpx.Client, accept: str):
    response, _ = raw(
        client, "POST", "/generate", json={"count": 64, "model": "cgan"}, headers={"Accept": accept}
    )
    assert response.status_code == 200
    assert "content-encoding" not in response.headers


def test_small_answers_are_not_compressed(client: httpx.Client):
    for path in ("/health/live", "/playground/address.js"):
        response, _ = raw(client, "GET", path)
        assert response.status_code == 200
        assert "content-encoding" not in response.headers


@pytest.mark.parametrize("path", [SCRIPT, STYLE])
def test_a_compressed_asset_can_be_revalidated_and_read_in_parts(client: httpx.Client, path: str):
    response, packed = raw(client, "GET", path)
    again, same = raw(client, "GET", path)
    assert (again.headers["etag"], same) == (response.headers["etag"], packed)
    assert response.headers["etag"].startswith('W/"')
    assert response.headers["vary"] == "Accept-Encoding"
    unchanged = client.get(path, headers={"If-None-Match": response.headers["etag"]})
    assert unchanged.status_code == 304
    part, content = raw(client, "GET", path, headers={"Range": "bytes=0-9"})
    assert (part.status_code, content) == (206, gzip.decompress(packed)[:10])
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(packed))


def test_icons_stay_as_they_are(client: httpx.Client):
    response, _ = raw(client, "GET", "/docs/assets/favicon.png")
    assert "content-encoding" not in response.headers


PNG = png.write(PIXELS[0])
NPY = io.BytesIO()
np.save(NPY, PIXELS[:1])
FORM = b'--b\r\nContent-Disposition: form-data; name="images"\r\n\r\n' + PNG + b"\r\n--b--\r\n"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", json.dumps({"images": TEXTS[:1]}).encode()),
        ("image/png", PNG),
        ("application/x-npy", NPY.getvalue()),
        ("multipart/form-data; boundary=b", FORM),
    ],
)
def test_a_compressed_body_is_the_body(client: httpx.Client, kind: str, body: bytes, encoding: str):
    expected = client.post("/encode", json={"images": TEXTS[:1]}).json()["latents"]
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    response = post(client, "/encode", packed, kind, encoding)
    assert response.status_code == 200, response.text
    assert response.json()["latents"] == expected


def test_all_protocols_read_compressed_bodies(client: httpx.Client):
    drawn = post(client, "/generate", gzip.compress(b'{"seed": 7, "model": "cgan"}'), "application/json")
    same = b'{"prompt": "", "seed": 7, "model": "cgan"}'
    openai = post(client, "/v1/images/generations", gzip.compress(same), "application/json")
    assert openai.json()["data"][0]["b64_json"] == drawn.json()["images"][0]
    remote = post(client, "/remote-vae/vae/encode?dtype=float32", gzip.compress(PNG), "image/png")
    assert remote.status_code == 200
    index = post(client, "/v2/repository/index", gzip.compress(b"{}"), "application/json")
    assert index.status_code == 200


@pytest.mark.parametrize(("length", "status"), [(MAX_BYTES, 415), (MAX_BYTES + 1, 413), (1 << 27, 413)])
def test_what_a_body_inflates_to_is_limited_as_any_body(client: httpx.Client, length: int, status: int):
    """The largest one that is read is not an image."""
    packed = gzip.compress(bytes(length))
    if len(packed) > MAX_BYTES:
        packed = gzip.compress(bytes(length >> 2))
    assert post(client, "/encode", packed, "image/png").status_code == status


def test_bodies_that_cannot_be_inflated_are_refused(client: httpx.Client):
    packed = gzip.compress(PNG)
    check_problem(post(client, "/encode", packed[:-1], "image/png"), 400, "bad-request")
    check_problem(post(client, "/encode", PNG, "image/png"), 400, "bad-request")
    refused = check_problem(post(client, "/encode", packed, "image/png", "br"), 415, "unsupported-media-type")
    assert "gzip or deflate" in refused["detail"]
    lines = gzip.compress(b'{"image": "%s"}\n' % TEXTS[0].encode())
    refused = check_problem(
        post(client, "/encode", lines, "application/x-ndjson"), 415, "unsupported-media-type"
    )
    assert "without Content-Encoding" in refused["detail"]
    long_index = post(client, "/v2/repository/index", gzip.compress(b" " * 4097), "application/json")
    assert long_index.status_code == 413
