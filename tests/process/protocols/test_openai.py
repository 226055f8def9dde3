"""OpenAI's API on the wire; tests/clients drives the same with the real client."""

import base64
import io
import json
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from service.media import png
from support.service_process import ServiceProcess, StartService
from support.tiny_checkpoints import write_tiny

MAX_COUNT, MAX_IMAGES = 8, 4


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("openai")
    write_models(root / "checkpoints")
    limits = {"max_count": MAX_COUNT, "max_images": MAX_IMAGES, "max_body_bytes": 1 << 20}
    with ServiceProcess(root / "checkpoints", root / "service.log", **limits) as process:
        yield process


@pytest.fixture
def client(service: ServiceProcess):
    with service.client() as client:
        yield client


def write_models(root: Path) -> None:
    write_tiny(
        root,
        "tiny",
        3,
        classes=("left", "right"),
        null_label="any",
        logvar=True,
        default_for=("encode", "generate"),
    )
    write_tiny(root, "plain", operations=("generate",), channels=3)
    write_tiny(root, "free", operations=("encode",), size=None, stride=2)
    write_tiny(root, "ab", operations=(), domains=("a", "b"))
    write_tiny(root, "back", operations=("decode",))


def draw(client: httpx.Client, prompt: str = "", **fields: Any) -> Any:
    answer = client.post("/v1/images/generations", json={"prompt": prompt, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def embed(client: httpx.Client, images: Any, **fields: Any) -> Any:
    answer = client.post("/v1/embeddings", json={"input": images, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def native(client: httpx.Client, **fields: Any) -> Any:
    return client.post("/generate", json={"model": "tiny", **fields}).json()


def opened(shown: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(shown["b64_json"])))


def images(count: int) -> list[str]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8), np.uint8)
    return [base64.b64encode(png.write(one)).decode() for one in pixels]


def test_a_prompt_is_the_name_of_a_class_in_any_case(client: httpx.Client):
    before = int(time.time())
    answer = draw(client, "RIGHT ", model="tiny", n=2, seed=5)
    expected = native(client, label="right", count=2, seed=5)
    assert [one["b64_json"] for one in answer["data"]] == expected["images"]
    assert [one["revised_prompt"] for one in answer["data"]] == ["right", "right"]
    assert [one["seed"] for one in answer["data"]] == [5, 6]
    assert (answer["size"], answer["output_format"]) == ("8x8", "png")
    assert before <= answer["created"] <= time.time()


def test_an_empty_prompt_has_the_classes_drawn_too(client: httpx.Client):
    answer = draw(client, n=8, seed=1)
    expected = native(client, count=8, seed=1)
    assert [one["revised_prompt"] for one in answer["data"]] == expected["labels"]
    assert set(expected["labels"]) == {"left", "right"}
    assert [one["b64_json"] for one in answer["data"]] == expected["images"]


def test_the_label_of_any_class_is_a_prompt(client: httpx.Client):
    (shown,) = draw(client, "Any", seed=1)["data"]
    assert shown["revised_prompt"] == "any"
    assert [shown["b64_json"]] == native(client, label="any", seed=1)["images"]


def test_a_model_without_classes_takes_any_prompt_and_draws_from_the_prior(client: httpx.Client):
    drawn = [draw(client, prompt, model="plain", seed=3)["data"] for prompt in ("", "a red bicycle")]
    assert drawn[0] == drawn[1]
    assert drawn[0][0]["revised_prompt"] is None
    assert [drawn[0][0]["b64_json"]] == native(client, model="plain", seed=3)["images"]


def test_truncation_is_that_of_generate(client: httpx.Client):
    (shown,) = draw(client, "left", seed=9, truncation=0.25)["data"]
    assert [shown["b64_json"]] == native(client, label="left", seed=9, truncation=0.25)["images"]


def test_without_a_seed_one_is_drawn_and_told(client: httpx.Client):
    (shown,) = draw(client, "left")["data"]
    (again,) = draw(client, "left", seed=shown["seed"])["data"]
    assert again == shown
    assert draw(client, "left")["data"][0]["seed"] != shown["seed"]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize(("model", "mode"), [("tiny", "L"), ("plain", "RGB")])
def test_an_image_is_fitted_to_the_size_with_its_aspect_kept(
    client: httpx.Client, kind: str, model: str, mode: str
):
    answer = draw(client, model=model, size="64x32", output_format=kind, seed=2)
    assert (answer["size"], answer["output_format"]) == ("64x32", kind)
    image = opened(answer["data"][0])
    assert (image.format, image.size) == (kind.upper(), (64, 32))
    pixels = np.asarray(image.convert(mode))
    assert pixels[:, :14].max() <= 2  # black beside it, but for what JPEG makes of the edge
    assert pixels[:, 20:44].mean() > 60


def test_the_models_own_size_is_auto(client: httpx.Client):
    sized, auto = (draw(client, "left", seed=4, size=size) for size in ("8x8", "auto"))
    assert sized | {"created": auto["created"]} == auto  # a second may end between the two


def test_null_is_as_if_left_out_and_what_is_unknown_is_ignored(client: httpx.Client):
    unset = dict.fromkeys(("model", "n", "size", "response_format", "output_format", "stream", "truncation"))
    unknown = {"quality": "high", "style": "vivid", "user": "me", "label": "left", "count": 7}
    answer = client.post(
        "/v1/images/generations?api-version=1", json={"prompt": "right", "seed": 6, **unset, **unknown}
    )
    assert answer.json()["data"] == draw(client, "right", seed=6)["data"]


def test_an_embedding_is_the_latent_as_numbers_or_as_base64(client: httpx.Client):
    files = images(3)
    expected = client.post("/encode", json={"images": files, "model": "tiny"}).json()["latents"]
    sent = [f"data:image/png;base64,{files[0]}", *files[1:]]
    answer = embed(client, sent, model="tiny", dimensions=4, user="me")
    assert (answer["object"], answer["model"]) == ("list", "tiny")
    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
    assert [one["index"] for one in answer["data"]] == [0, 1, 2]
    assert {one["object"] for one in answer["data"]} == {"embedding"}
    assert [one["embedding"] for one in answer["data"]] == expected
    packed = embed(client, sent, encoding_format="base64")["data"]
    read = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in packed]
    assert np.array_equal(np.array(read), np.array(expected, np.float32))


def test_one_image_may_come_outside_a_list(client: httpx.Client):
    (file,) = images(1)
    assert embed(client, file) == embed(client, [file])


def test_models_are_those_that_draw_translate_or_embed(client: httpx.Client):
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [one["id"] for one in listed["data"]] == ["ab", "free", "plain", "tiny"]
    assert (listed["data"][0]["operations"], listed["data"][0]["domains"]) == (["translate"], ["a", "b"])
    shown = client.get("/v1/models/tiny").json()
    assert shown == listed["data"][3]
    assert (shown["object"], shown["owned_by"], shown["version"]) == ("model", "latent-service", 3)
    assert shown["operations"] == ["encode", "generate"]
    assert shown["domains"] is None
    assert shown["classes"] == ["left", "right", "any"]


IMAGES, EMBEDDINGS = "/v1/images/generations", "/v1/embeddings"
LAST_SEED = 2**53 - 1


@pytest.mark.parametrize(
    ("path", "body", "status", "param", "said"),
    [
        (IMAGES, {"prompt": "up"}, 400, "prompt", "known are left, right, any"),
        (IMAGES, {"prompt": "0"}, 400, "prompt", "known are left, right, any"),
        (IMAGES, {}, 400, "prompt", "required"),
        (IMAGES, {"prompt": None}, 400, "prompt", "string"),
        (IMAGES, {"prompt": "x" * 32_001}, 400, "prompt", "at most 32000"),
        (IMAGES, {"prompt": "", "n": 0}, 400, "n", "greater than or equal to 1"),
        (IMAGES, {"prompt": "", "n": "2"}, 400, "n", "integer"),
        (IMAGES, {"prompt": "", "n": True}, 400, "n", "integer"),
        (IMAGES, {"prompt": "", "size": "large"}, 400, "size", "such as 512x512"),
        (IMAGES, {"prompt": "", "size": "0x8"}, 400, "size", "such as 512x512"),
        (IMAGES, {"prompt": "", "size": "8x8x8"}, 400, "size", "such as 512x512"),
        (IMAGES, {"prompt": "", "size": "10000x1"}, 400, "size", "such as 512x512"),
        (IMAGES, {"prompt": "", "size": 8}, 400, "size", "such as 512x512"),
        (IMAGES, {"prompt": "", "response_format": "url"}, 400, "response_format", "b64_json"),
        (IMAGES, {"prompt": "", "output_format": "gif"}, 400, "output_format", "'webp'"),
        (IMAGES, {"prompt": "", "stream": True}, 400, "stream", "False"),
        (IMAGES, {"prompt": "", "seed": -1}, 400, "seed", "leave seed out to draw one"),
        (IMAGES, {"prompt": "", "seed": LAST_SEED, "n": 2}, 400, "seed", "at most"),
        (IMAGES, {"prompt": "", "truncation": 0}, 400, "truncation", "greater than 0"),
        (IMAGES, {"prompt": "", "truncation": 2.5}, 400, "truncation", "less than or equal to 2"),
        (IMAGES, {"prompt": "", "model": "nowhere"}, 404, None, "no such model"),
        (IMAGES, {"prompt": "", "model": "tiny@2"}, 404, None, "version 3 is"),
        (IMAGES, {"prompt": "", "model": "ab"}, 400, None, "does not offer generate"),
        (EMBEDDINGS, {}, 400, "input", "required"),
        (EMBEDDINGS, {"input": []}, 400, "input", "data URL"),
        (EMBEDDINGS, {"input": [1, 2]}, 400, "input", "data URL"),
        (EMBEDDINGS, {"input": "a shoe"}, 400, "input.0", "base64"),
        (EMBEDDINGS, {"input": "data:image/png,x"}, 400, "input.0", "base64"),
        (EMBEDDINGS, {"input": "AAAA"}, 415, None, "not a PNG, JPEG or WebP"),
        (EMBEDDINGS, {"input": images(1), "encoding_format": "hex"}, 400, "encoding_format", "'base64'"),
        (EMBEDDINGS, {"input": images(1), "dimensions": 3}, 400, "dimensions", "has 4 numbers"),
        (EMBEDDINGS, {"input": images(1), "model": "plain"}, 400, None, "does not offer encode"),
    ],
)
def test_what_is_wrong_is_said_in_that_apis_shape(
    client: httpx.Client, path: str, body: dict[str, Any], status: int, param: str | None, said: str
):
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    check_error(answer, param)
    assert said in answer.json()["error"]["message"]
    assert len(answer.content) < 1000


def check_error(answer: httpx.Response, param: str | None = None) -> None:
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["code"].replace("_", "").isalpha()


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text()
VALUES = st.recursive(SCALARS, lambda one: st.lists(one) | st.dictionaries(st.text(), one), max_leaves=8)
SENSIBLE: dict[str, dict[str, Any]] = {
    IMAGES: {
        "prompt": "left",
        "n": 2,
        "size": "16x16",
        "seed": 3,
        "truncation": 1.0,
        "output_format": "webp",
    },
    EMBEDDINGS: {"input": images(1), "encoding_format": "base64", "dimensions": 4},
}
FIELDS = [(path, name) for path, body in SENSIBLE.items() for name in (*body, "model", "stream")]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(FIELDS), value=VALUES)
def test_whatever_a_field_holds_is_answered_or_refused(
    client: httpx.Client, field: tuple[str, str], value: Any
):
    path, name = field
    answer = client.post(path, content=json.dumps({**SENSIBLE[path], name: value}).encode())
    assert answer.status_code in (200, 400, 404, 415), (field, value)
    if answer.status_code != 200:
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_images_of_several_sizes_are_refused_where_the_model_keeps_them(client: httpx.Client):
    sizes = [base64.b64encode(png.write(np.zeros((side, 8), np.uint8))).decode() for side in (8, 16)]
    answer = client.post("/v1/embeddings", json={"input": sizes, "model": "free"})
    assert answer.status_code == 400
    check_error(answer, "input")
    assert len(embed(client, sizes, model="tiny")["data"]) == 2


def test_what_is_no_json_or_no_object_is_400(client: httpx.Client):
    for content in (b"", b"{", b"[1]", b'"left"'):
        answer = client.post("/v1/images/generations", content=content)
        assert answer.status_code == 400
        check_error(answer)


@pytest.mark.parametrize(
    ("path", "body", "beyond"),
    [
        (IMAGES, {"n": MAX_COUNT}, {"n": MAX_COUNT + 1}),
        (IMAGES, {"n": 2, "size": "2048x2048"}, {"n": 2, "size": "2048x2049"}),
        (EMBEDDINGS, {"input": images(MAX_IMAGES)}, {"input": images(MAX_IMAGES + 1)}),
    ],
)
def test_as_many_as_the_limit_pass_and_one_more_is_refused(
    client: httpx.Client, path: str, body: dict[str, Any], beyond: dict[str, Any]
):
    assert client.post(path, json={"prompt": "left", **body}).status_code == 200
    refused = client.post(path, json={"prompt": "left", **beyond})
    assert refused.status_code == 400
    assert "at most" in refused.json()["error"]["message"]


def test_refusals_before_any_route_have_that_shape_too(client: httpx.Client):
    for path, status in (
        ("/v1", 404),
        ("/v1/models/back", 404),
        ("/v1/chat/completions", 404),
        (IMAGES, 405),
    ):
        answer = client.get(path)
        assert answer.status_code == status
        check_error(answer)
    large = client.post("/v1/embeddings", content=bytes(2 << 20))
    assert large.status_code == 413
    check_error(large)


def test_a_key_comes_as_that_apis_clients_send_it(tmp_path: Path, start_service: StartService):
    write_models(tmp_path / "checkpoints")
    (tmp_path / "keys").write_text("secret")
    with start_service(api_keys_file=tmp_path / "keys").client() as client:
        refused = client.get("/v1/models", headers={"Authorization": "Bearer guessed"})
        assert refused.status_code == 401
        check_error(refused)
        assert client.get("/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_either_of_two_workers_gives_the_same(tmp_path: Path, start_service: StartService):
    write_models(tmp_path / "checkpoints")
    service = start_service(workers=2)
    asked: list[tuple[str, dict[str, Any]]] = [
        (IMAGES, {"prompt": "left", "n": 3, "seed": 11}),
        (EMBEDDINGS, {"input": images(2)}),
    ]
    for path, body in asked:
        answers = set()
        for _ in range(20):
            with service.client() as client:
                answer = client.post(path, json=body)
                assert answer.status_code == 200
                answers.add(repr(answer.json()["data"]))
        assert len(answers) == 1


def test_without_checkpoints_there_are_no_models_and_nothing_is_ready(
    tmp_path: Path, start_service: StartService
):
    (tmp_path / "checkpoints").mkdir()
    with start_service().client() as client:
        assert client.get("/v1/models").json() == {"object": "list", "data": []}
        answer = client.post("/v1/images/generations", json={"prompt": ""})
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
