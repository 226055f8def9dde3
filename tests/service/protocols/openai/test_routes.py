"""The routes under /v1: images by the name of a class, latents as embeddings, and the models for both."""

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.media import png
from service.protocols.openai.image_answers import MAX_PIXELS
from support.in_process import MAX_COUNT, MAX_IMAGES, InProcess
from support.tiny_checkpoints import run_onnx

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
TEXTS = [base64.b64encode(png.write(one)).decode() for one in PIXELS]


def draw(client: InProcess, prompt: str = "Bag", **members: Any) -> httpx.Response:
    return client.post("/v1/images/generations", json={"prompt": prompt, **members})


def embed(client: InProcess, **members: Any) -> httpx.Response:
    return client.post("/v1/embeddings", json={"input": TEXTS, **members})


def image(one: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(one["b64_json"])))


def test_a_prompt_is_the_name_of_a_class_in_any_case(client: InProcess):
    drawn = draw(client, " bAG ", n=2, seed=7).json()
    assert [(one["revised_prompt"], one["seed"]) for one in drawn["data"]] == [("Bag", 7), ("Bag", 8)]
    own = client.post("/generate", json={"label": "Bag", "count": 2, "seed": 7}).json()["images"]
    for one, text in zip(drawn["data"], own, strict=True):
        assert np.array_equal(image(one), Image.open(io.BytesIO(base64.b64decode(text))))
    assert (drawn["output_format"], drawn["size"]) == ("png", "8x8")


def test_an_empty_prompt_has_the_class_drawn(client: InProcess):
    (one,) = draw(client, "", seed=3).json()["data"]
    assert one["revised_prompt"] == client.post("/generate", json={"seed": 3}).json()["labels"][0]


def test_a_model_without_classes_takes_any_prompt(client: InProcess):
    first, second = (draw(client, prompt, model="vae", seed=3).json()["data"][0] for prompt in ("a", "b"))
    assert first == second
    assert first["revised_prompt"] is None


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_an_image_is_fitted_to_the_size_in_the_format_that_is_wanted(client: InProcess, kind: str):
    drawn = draw(client, size="24x12", output_format=kind).json()
    found = image(drawn["data"][0])
    assert (found.size, (found.format or "").lower()) == ((24, 12), kind)
    assert drawn["size"] == "24x12"


def test_all_pixels_of_one_answer_are_limited(client: InProcess):
    most = MAX_PIXELS // (1024 * 1024)
    assert draw(client, n=most + 1, size="1024x1024").status_code == 400
    assert draw(client, n=1, size="9999x9999").status_code == 400
    assert draw(client, n=1, size="1024x64").status_code == 200


@pytest.mark.parametrize("form", ["float", "base64"])
def test_an_embedding_is_the_mean_latent_as_numbers_or_as_base64(
    client: InProcess, checkpoints: Path, form: str
):
    images = (PIXELS[:, None] / np.float32(255)).astype(np.float32)
    expected = run_onnx((checkpoints / "vae/1/encode.onnx").read_bytes(), {"images": images})["latents"]
    answer = embed(client, encoding_format=form, dimensions=4).json()
    found = [one["embedding"] for one in answer["data"]]
    rows = [np.frombuffer(base64.b64decode(one), "<f4") for one in found] if form == "base64" else found
    np.testing.assert_allclose(np.array(rows), expected, rtol=1e-5, atol=1e-6)
    assert ([one["index"] for one in answer["data"]], answer["model"]) == ([0, 1], "vae")


def test_models_are_those_that_draw_translate_or_embed(client: InProcess):
    listed = {one["id"]: one for one in client.get("/v1/models").json()["data"]}
    assert {"vae", "cgan", "any-size", "bags-boots"} <= listed.keys()
    assert listed["bags-boots"]["domains"] == ["bags", "boots"]
    assert listed["cgan"]["domains"] is None
    assert client.get("/v1/models/cgan").json() == listed["cgan"]
    assert (listed["cgan"]["operations"], listed["cgan"]["version"]) == (["generate"], 1)
    assert client.get("/v1/models/bags").status_code == 404


def test_an_edit_is_the_translation_to_the_domain_of_the_prompt(client: InProcess):
    form = {"files": [("image[]", png.write(one)) for one in PIXELS], "data": {"prompt": "Boots"}}
    edited = client.post("/v1/images/edits", **form).json()["data"]
    own = client.post("/translate", json={"images": TEXTS, "to": "boots"}).json()["images"]
    assert [(one["b64_json"], one["revised_prompt"]) for one in edited] == [(text, "boots") for text in own]


def test_a_variation_is_decoded_from_a_latent_near_the_image(client: InProcess):
    form = {"files": {"image": png.write(PIXELS[0])}, "data": {"model": "vae", "seed": "4", "n": "2"}}
    varied = client.post("/v1/images/variations", **form).json()["data"]
    assert [one["seed"] for one in varied] == [4, 5]
    asked = {"images": TEXTS[:1], "model": "vae", "sample": True, "seed": 5}
    latents = client.post("/encode", json=asked).json()["latents"]
    decoded = client.post("/decode", json={"latents": latents, "model": "vae"}).json()["images"]
    assert decoded == [varied[1]["b64_json"]]


@pytest.mark.parametrize(
    ("answer", "param"),
    [
        (lambda client: draw(client, "a hat"), "prompt"),
        (lambda client: draw(client, n=MAX_COUNT + 1), "n"),
        (lambda client: draw(client, seed=-1), "seed"),
        (lambda client: embed(client, input=TEXTS * MAX_IMAGES), "input"),
        (lambda client: embed(client, input=["x"]), "input.0"),
        (lambda client: embed(client, dimensions=5), "dimensions"),
        (lambda client: embed(client, model="cgan"), None),
    ],
)
def test_a_refusal_has_the_shape_of_that_api(client: InProcess, answer: Any, param: str | None):
    response = answer(client)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert error["message"]
    assert "-" not in error["code"]
