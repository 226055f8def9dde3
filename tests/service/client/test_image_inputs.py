"""Images as callers have them, and what is sent and received of them."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.client import image_inputs

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
RGB = np.stack([GREY, GREY + 100, GREY + 200], axis=-1)


def seen(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_one_image_is_one_and_an_array_alone_is_several(tmp_path: Path):
    for one in (GREY, Image.fromarray(GREY), "a.png", tmp_path):
        assert len(image_inputs.several(one)) == 1
    for many in (np.stack([GREY, GREY]), np.stack([RGB, RGB]), ["a.png", GREY], (GREY, RGB)):
        assert len(image_inputs.several(many)) == 2


@pytest.mark.parametrize("none", [[], (), np.zeros((0, 8, 8), np.uint8)])
def test_at_least_one_is_needed(none: Any):
    with pytest.raises(ValueError, match="at least one image"):
        image_inputs.several(none)


def test_an_array_that_is_one_image_or_many_is_refused():
    with pytest.raises(ValueError, match="one colour image or 3 grey ones"):
        image_inputs.several(RGB)
    assert len(image_inputs.several([RGB])) == 1


def test_a_file_goes_as_it_is(tmp_path: Path):
    file = tmp_path / "any.thing"
    file.write_bytes(b"whatever it holds")
    for path in (file, str(file)):
        assert base64.b64decode(image_inputs.to_base64(path)) == b"whatever it holds"
    with pytest.raises(FileNotFoundError):
        image_inputs.to_base64(tmp_path / "nowhere.png")


@pytest.mark.parametrize("pixels", [GREY, GREY[..., None], RGB, np.dstack([RGB, GREY]), RGB[:, ::-1]])
def test_pixels_go_without_loss(pixels: np.ndarray):
    assert np.array_equal(seen(image_inputs.to_base64(pixels)), pixels.squeeze())


def test_images_of_pillow_go_without_loss():
    assert np.array_equal(seen(image_inputs.to_base64(Image.fromarray(RGB))), RGB)


@pytest.mark.parametrize(
    "image", [3, None, b"x", GREY.astype(float), RGB[..., :2], np.zeros((1, 1, 1, 1), np.uint8), GREY[0]]
)
def test_what_is_no_image_is_not_sent(image: Any):
    with pytest.raises(TypeError):
        image_inputs.to_base64(image)


@pytest.mark.parametrize("one", [GREY, RGB])
def test_an_answer_becomes_one_array_or_images(one: np.ndarray):
    batch = np.stack([one, 255 - one])
    found = image_inputs.from_base64(map(image_inputs.to_base64, batch))
    assert found.dtype == np.uint8
    assert np.array_equal(found, batch)
    assert all(
        np.array_equal(image, one) for image, one in zip(image_inputs.to_pil(found), batch, strict=True)
    )
