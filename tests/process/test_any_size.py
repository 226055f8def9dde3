"""Models whose images, and with them their latents, have any size: every route works or says why not."""

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest

from service.client import Client
from service.media import png
from support.problem_json import check_problem
from support.service_process import ServiceProcess
from support.tiny_checkpoints import write_tiny

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("any-size")
    write_tiny(
        root / "checkpoints",
        "free",
        operations=("encode", "decode"),
        size=None,
        stride=4,
        latent=(2, None, None),
        logvar=True,
        domains=("a", "b"),
        image_fields={"min_side": 8, "max_pixels": 4096},
    )
    with ServiceProcess(root / "checkpoints", root / "service.log") as process:
        yield process


@pytest.fixture
def client(service: ServiceProcess):
    with service.client() as client:
        yield client


def image(height: int, width: int) -> str:
    return base64.b64encode(png.write(RNG.integers(0, 256, (height, width), np.uint8))).decode()


def ask(client: httpx.Client, path: str, **body: Any) -> httpx.Response:
    return client.post(path, json={"model": "free", **body})


def infer(client: httpx.Client, operation: str, **tensor: Any) -> httpx.Response:
    array = tensor.pop("array")
    sent = {"datatype": "FP32", "shape": list(array.shape), "data": array.tolist(), **tensor}
    return client.post(f"/v2/models/free.{operation}/infer", json={"inputs": [sent]})


def test_the_model_says_what_is_free(client: httpx.Client):
    shown = client.get("/models/free").json()
    assert shown["image"] == {"channels": 1, "height": None, "width": None, "stride": 4, "max_pixels": 4096}
    assert shown["latent"]["shape"] == [2, None, None]


def test_latents_come_with_their_shape_and_go_back_with_it(client: httpx.Client):
    encoded = ask(client, "/encode", images=[image(12, 20)]).json()
    assert encoded["shape"] == [2, 3, 5]
    assert len(encoded["latents"][0]) == 30
    decoded = ask(client, "/decode", latents=encoded["latents"], shape=encoded["shape"])
    assert decoded.status_code == 200, decoded.text
    pixels = client.post(
        "/decode",
        json={"model": "free", "latents": encoded["latents"], "shape": encoded["shape"]},
        headers={"accept": "application/x-npy"},
    )
    assert np.load(io.BytesIO(pixels.content)).shape == (1, 12, 20)


def test_an_array_of_latents_has_its_shape(client: httpx.Client):
    codes = RNG.normal(size=(2, 2, 3, 5)).astype(np.float32)
    file = io.BytesIO()
    np.save(file, codes)
    headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    answer = client.post("/decode?model=free", content=file.getvalue(), headers=headers)
    assert np.load(io.BytesIO(answer.content)).shape == (2, 12, 20)


@pytest.mark.parametrize(
    ("shape", "status", "said"),
    [
        (None, 422, "[2, any, any]: give it"),
        ([2, 15], 422, "[2, any, any]"),
        ([3, 2, 5], 422, "[2, any, any]"),
        ([2, 1, 15], 422, "at least 2"),
        ([2, 5, 3000], 413, "more than 4096 pixels"),
        ([2, 5, 4], 422, "40 numbers"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(
    client: httpx.Client, shape: list[int] | None, status: int, said: str
):
    given = {} if shape is None else {"shape": shape}
    answer = ask(client, "/decode", latents=[[0.0] * 30], **given)
    assert answer.status_code == status, answer.text
    assert said in check_problem(answer, status, answer.json()["code"])["detail"]


def test_images_are_fitted_to_the_nearest_size_and_kept_within_bounds(client: httpx.Client):
    assert ask(client, "/encode", images=[image(13, 3)]).json()["shape"] == [2, 3, 2]
    together = ask(client, "/encode", images=[image(8, 8), image(8, 12)])
    assert "of one size" in check_problem(together, 422, "invalid-field")["detail"]
    check_problem(ask(client, "/encode", images=[image(80, 80)]), 413, "body-too-large")
    narrow = ask(client, "/encode", images=[image(1, 4000)])
    assert "becomes 4000 x 8" in check_problem(narrow, 413, "body-too-large")["detail"]


def test_the_other_routes_work_or_say_why_not(client: httpx.Client):
    rebuilt = ask(client, "/reconstruct", images=[image(16, 8)])
    assert rebuilt.status_code == 200, rebuilt.text
    assert ask(client, "/encode", images=[image(8, 8)], sample=True, seed=1).status_code == 200
    assert ask(client, "/translate", images=[image(8, 24)], to="b").status_code == 200
    stops = [{"image": image(8, 8)}, {"image": image(8, 8)}]
    walk = check_problem(ask(client, "/interpolate", stops=stops), 409, "operation-not-offered")
    assert "no fixed size" in walk["detail"]
    pair = [image(8, 8), image(8, 8)]
    assert ask(client, "/compare", a=pair, b=pair).status_code == 200
    larger = [image(16, 8), image(16, 8)]
    assert (
        "one size" in check_problem(ask(client, "/compare", a=pair, b=larger), 422, "invalid-field")["detail"]
    )
    check_problem(ask(client, "/neighbours", images=pair), 409, "operation-not-offered")


def test_the_python_client_sends_latents_back_in_their_shape(service: ServiceProcess):
    pixels = RNG.integers(0, 256, (2, 12, 20), np.uint8)
    with Client(service.url) as client:
        latents = client.encode(pixels, model="free").latents
        assert latents.shape == (2, 2, 3, 5)
        assert client.decode(latents, model="free").images.shape == (2, 12, 20)
        (known,) = client.models()
        assert known.latent_shape == (2, None, None)


def test_the_open_inference_protocol_knows_free_axes(client: httpx.Client):
    described = client.get("/v2/models/free.decode").json()
    assert described["inputs"][0]["shape"] == [-1, 2, -1, -1]
    codes = RNG.normal(size=(1, 2, 3, 2)).astype(np.float32)
    decoded = infer(client, "decode", name="latents", array=codes)
    assert decoded.json()["outputs"][0]["shape"] == [1, 1, 12, 8]
    images = np.zeros((1, 1, 12, 8), np.float32)
    encoded = infer(client, "encode", name="images", array=images).json()["outputs"]
    assert [one["shape"] for one in encoded] == [[1, 2, 3, 2], [1, 2, 3, 2]]
    flat = infer(client, "decode", name="latents", array=codes.reshape(1, -1))
    assert (flat.status_code, "(N, 2, any, any)" in flat.json()["error"]) == (422, True)
    odd = infer(client, "encode", name="images", array=np.zeros((1, 1, 9, 8), np.float32))
    assert (odd.status_code, "multiples of 4, 8 or more" in odd.json()["error"]) == (422, True)
    large = infer(client, "encode", name="images", array=np.zeros((1, 1, 80, 80), np.float32))
    assert large.status_code == 413
    alone = client.post(
        "/v2/models/free.decode/infer",
        content=codes.tobytes(),
        headers={"Inference-Header-Content-Length": "0"},
    )
    assert (alone.status_code, "with a shape" in alone.json()["error"]) == (422, True)
