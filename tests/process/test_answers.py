"""Answers: the same result in every form that is offered."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from httpx import Client, Response
from PIL import Image

from support.problem_json import check_problem

NINE = {"label": "Ankle boot", "count": 9, "seed": 7}


def draw(client: Client, accept: str, body: dict[str, Any] = NINE) -> Response:
    response = client.post("/generate", json=body, headers={"accept": accept})
    assert response.status_code == 200, response.text
    return response


def pixels(raw: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(raw)))


def from_json(response: Response) -> Any:
    return np.stack([pixels(base64.b64decode(image)) for image in response.json()["images"]])


def test_pixels_are_the_same_in_every_lossless_form(client: Client) -> None:
    expected = from_json(draw(client, "*/*"))
    assert expected.shape == (9, 8, 8)
    array = np.load(io.BytesIO(draw(client, "application/x-npy").content))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, expected)
    grid = expected.reshape(3, 3, 8, 8).swapaxes(1, 2).reshape(24, 24)
    np.testing.assert_array_equal(pixels(draw(client, "image/png").content), grid)
    webp = Image.open(io.BytesIO(draw(client, "image/webp").content)).convert("L")
    np.testing.assert_array_equal(np.asarray(webp), grid)


@pytest.mark.parametrize(
    ("accept", "kind"), [("image/png", "PNG"), ("image/webp", "WEBP"), ("image/jpeg", "JPEG")]
)
@pytest.mark.parametrize(("count", "size"), [(1, (8, 8)), (2, (16, 8)), (5, (24, 16)), (9, (24, 24))])
def test_images_come_alone_or_as_a_grid(
    client: Client,
    accept: str,
    kind: str,
    count: int,
    size: tuple[int, int],
) -> None:
    response = draw(client, accept, {"label": 0, "count": count, "seed": 1})
    assert response.headers["content-type"] == accept
    image = Image.open(io.BytesIO(response.content))
    assert (image.format, image.size) == (kind, size)


def test_headers_say_what_images_cannot(client: Client) -> None:
    headers = draw(client, "image/png", {"labels": ["bag", 2], "seed": 7}).headers
    assert headers["x-latent-model"] == "cgan"
    assert headers["x-latent-version"] == "1"
    assert headers["x-latent-seeds"] == "7,8"
    assert headers["x-latent-labels"] == "Bag,Ankle boot"
    assert "x-latent-model" not in draw(client, "application/json").headers


def test_latents_come_as_json_or_as_an_array(client: Client) -> None:
    array = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
    file = io.BytesIO()
    np.save(file, array)
    headers = {"content-type": "application/x-npy"}
    rows = client.post("/encode", content=file.getvalue(), headers=headers).json()["latents"]
    answer = client.post(
        "/encode", content=file.getvalue(), headers=headers | {"accept": "application/x-npy"}
    )
    latents = np.load(io.BytesIO(answer.content))
    assert latents.dtype == np.float32
    assert latents.shape == (2, 4)
    np.testing.assert_array_equal(latents, np.array(rows, np.float32))


def test_a_latent_shape_of_several_axes_is_flat_outside(client: Client) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros((2, 16, 16, 3), np.uint8))
    headers = {"content-type": "application/x-npy"}
    answer = client.post("/encode?model=colour", content=file.getvalue(), headers=headers).json()
    assert answer["shape"] == [2, 3]
    assert np.shape(answer["latents"]) == (2, 6)
    images = client.post("/decode", json={"model": "colour", "latents": answer["latents"]})
    assert from_json(images).shape == (2, 16, 16, 3)


def test_what_is_not_offered_is_406_before_the_body_is_read(client: Client) -> None:
    response = client.post("/encode", content=b"{", headers={"accept": "image/png"})
    assert "application/x-npy" in check_problem(response, 406, "not-acceptable")["detail"]
    response = client.post("/generate", json={}, headers={"accept": "text/html"})
    assert "image/png" in check_problem(response, 406, "not-acceptable")["detail"]


def test_several_accept_headers_are_one(client: Client) -> None:
    response = client.post("/generate", json={}, headers=[("accept", "text/html"), ("accept", "image/png")])
    assert response.headers["content-type"] == "image/png"


def test_a_model_without_a_distribution_cannot_be_sampled(client: Client) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros((1, 16, 16, 3), np.uint8))
    headers = {"content-type": "application/x-npy"}
    response = client.post("/encode?model=colour&sample=true", content=file.getvalue(), headers=headers)
    assert "distribution" in check_problem(response, 422, "invalid-field")["detail"]
