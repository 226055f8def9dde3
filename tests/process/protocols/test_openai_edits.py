"""Translations and variations of OpenAI's API on the wire; tests/clients drives the real client."""

import base64
from typing import Any

import httpx
import numpy as np
import pytest

from service.media import png
from support.service_process import ServiceProcess
from support.tiny_checkpoints import write_tiny

PNG = png.write(np.arange(64, dtype=np.uint8).reshape(8, 8))
TEXT = base64.b64encode(PNG).decode()
EDITS, VARIATIONS = "/v1/images/edits", "/v1/images/variations"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("edits")
    models = root / "checkpoints"
    write_tiny(models, "ab", operations=(), domains=("a", "b"))
    write_tiny(models, "plain", operations=("encode", "decode"))
    write_tiny(
        models, "drawn", operations=("encode", "decode"), logvar=True, default_for=("encode", "decode")
    )
    write_tiny(models, "any", operations=("encode", "decode"), size=None, latent=(3, None, None), stride=4)
    limits = {"max_count": 8, "max_images": 4}
    with ServiceProcess(models, root / "log", **limits) as service, service.client() as client:
        yield client


def send(client: httpx.Client, path: str, *files: Any, **fields: str) -> httpx.Response:
    return client.post(path, data=fields, files=files or [("image", ("a.png", PNG, "image/png"))])


def shown(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["data"]
    return found


def test_a_translation_is_that_of_translate(client: httpx.Client):
    (expected,) = client.post("/translate", json={"images": [TEXT], "to": "b"}).json()["images"]
    (one,) = shown(send(client, EDITS, prompt=" B ", model="ab", n="1", user="me", quality="low"))
    assert one == {"b64_json": expected, "revised_prompt": "b"}
    assert shown(send(client, EDITS, ("image[]", PNG), ("image[]", PNG), prompt="b")) == [one] * 2
    assert shown(send(client, EDITS, ("image", PNG), ("mask", ("", b"")), prompt="b", n="")) == [one]


def test_a_variation_is_a_draw_that_its_seed_repeats(client: httpx.Client):
    drawn = shown(send(client, VARIATIONS, n="4", seed="9", size="auto"))
    assert [one["seed"] for one in drawn] == [9, 10, 11, 12]
    assert len({one["b64_json"] for one in drawn}) == 4
    assert shown(send(client, VARIATIONS, seed="11")) == drawn[2:3]
    (unseeded,) = shown(send(client, VARIATIONS))
    assert shown(send(client, VARIATIONS, seed=str(unseeded["seed"]))) == [unseeded]
    sampled = client.post(
        "/encode", json={"images": [TEXT], "model": "drawn", "sample": True, "seed": 9}
    ).json()
    decoded = client.post("/decode", json={"latents": sampled["latents"], "model": "drawn"}).json()["images"]
    assert decoded == [drawn[0]["b64_json"]]


def test_a_variation_without_a_distribution_is_the_reconstruction(client: httpx.Client):
    asked = {"images": [TEXT], "model": "plain"}
    (expected,) = client.post("/reconstruct", json=asked).json()["images"]
    assert shown(send(client, VARIATIONS, model="plain")) == [
        {"b64_json": expected, "revised_prompt": None, "seed": None}
    ]


@pytest.mark.parametrize(
    ("path", "fields", "param", "said"),
    [
        (EDITS, {"prompt": "a cat"}, "prompt", "a, b"),
        (EDITS, {"prompt": "", "model": "ab"}, "prompt", "a, b"),
        (EDITS, {"prompt": "a", "n": "2"}, "n", "one translation"),
        (EDITS, {"prompt": "a", "n": "two"}, "n", "integer"),
        (EDITS, {"prompt": "a", "size": "large"}, "size", "such as"),
        (EDITS, {"prompt": "a", "size": "4096x4096"}, "size", "at most"),
        (EDITS, {"prompt": "a", "response_format": "url"}, "response_format", "b64_json"),
        (EDITS, {"prompt": "a", "stream": "true"}, "stream", "False"),
        (EDITS, {"prompt": "a", "model": "plain"}, None, "does not offer translate"),
        (VARIATIONS, {"model": "plain", "n": "2"}, "n", "not a distribution"),
        (VARIATIONS, {"n": "9"}, "n", "at most 8"),
        (VARIATIONS, {"seed": "-1"}, "seed", "leave seed out to draw one"),
        (VARIATIONS, {"model": "ab"}, None, "does not offer reconstruct"),
    ],
)
def test_what_is_wrong_names_the_field(
    client: httpx.Client, path: str, fields: dict[str, str], param: str | None, said: str
):
    response = send(client, path, **fields)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param
    assert said in response.json()["error"]["message"]


@pytest.mark.parametrize("path", [EDITS, VARIATIONS])
def test_a_mask_no_image_and_another_body_are_refused(client: httpx.Client, path: str):
    masked = send(client, path, ("image", PNG), ("mask", ("mask.png", PNG * 100)), prompt="a")
    assert (masked.status_code, masked.json()["error"]["param"]) == (400, "mask")
    bare = send(client, path, ("prompt", (None, "a")))
    assert (bare.status_code, bare.json()["error"]["param"]) == (400, "image")
    wrong = client.post(path, json={"prompt": "a"})
    assert wrong.status_code == 415
    assert "multipart/form-data" in wrong.json()["error"]["message"]
    broken = send(client, path, ("image", b"GIF89a"), prompt="a", model="ab" if path == EDITS else "plain")
    assert broken.status_code == 415


def test_one_image_is_varied_and_its_variations_are_bounded(client: httpx.Client):
    two = send(client, VARIATIONS, ("image", PNG), ("image", PNG))
    assert (two.status_code, two.json()["error"]["param"]) == (400, "image")
    large = png.write(np.zeros((2048, 2048), np.uint8))
    for count, status in (("1", 200), ("3", 400)):
        answer = send(client, VARIATIONS, ("image", large), model="any", n=count)
        assert answer.status_code == status, answer.text
    assert "pixels" in answer.json()["error"]["message"]
