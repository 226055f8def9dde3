"""Uploads: images in whichever form they came, on their way to the model's tensor."""

import base64
from typing import Any

import numpy as np
import pytest

from service.api.uploads import Upload
from service.checkpoint.manifest import ImageSpec
from service.errors import BodyTooLarge, InvalidField, ServiceError, UnsupportedMediaType
from service.media import images, png
from support.image_files import file, photo

SPEC = ImageSpec(channels=1, height=8, width=8, range=(-1.0, 1.0))
FREE = ImageSpec(channels=3, height=None, width=None, stride=4)
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
FILES = [png.write(one) for one in PIXELS]
MOST = 1 << 20
TENSOR = PIXELS[:, None] / np.float32(127.5) - 1


async def refusal_of(upload: Upload, spec: ImageSpec = SPEC, most: int = MOST) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        await upload.tensor(spec, most)
    return refusal.value


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "images",
    [FILES, [text(one) for one in FILES], [f"data:image/png;base64,{text(one)}" for one in FILES], PIXELS],
    ids=["files", "base64", "data URLs", "array"],
)
async def test_every_form_becomes_the_same_tensor(images: Any):
    upload = Upload(images if isinstance(images, np.ndarray) else list(images))
    assert upload.count == 3
    found = await upload.tensor(SPEC, MOST)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, TENSOR, atol=1e-6)


async def test_a_list_is_let_go_of_as_it_is_decoded():
    images = list(FILES)
    await Upload(images).tensor(SPEC, MOST)
    assert images == []


async def test_large_ones_are_decoded_in_a_thread_and_give_the_same():
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 1024), np.uint8)
    large = png.write(pixels)
    assert images.is_large(large)
    (alone,) = await Upload([large]).tensor(SPEC, MOST)
    for same in (Upload([text(large)]), Upload(pixels[None])):
        assert np.array_equal((await same.tensor(SPEC, MOST))[0], alone)


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ("x", "Input should be base64 or a data URL"),
        ("data:image/png;base64", "a data URL must be data:image/...;base64,..."),
        ("A" * (1 << 16) + "!", "Input should be base64 or a data URL"),
    ],
    ids=["short", "data URL", "long"],
)
async def test_text_that_is_no_base64_is_refused_with_its_place(spoilt: str, message: str):
    error = await refusal_of(Upload([text(FILES[0]), spoilt]))
    assert error.fields == [(("body", "images", 1), message)]


async def test_a_file_that_cannot_be_used_says_which_it_is():
    broken = await refusal_of(Upload([FILES[0], FILES[1][:60]]))
    assert isinstance(broken, InvalidField)
    assert broken.fields[0].loc == ("body", "images", 1)
    unknown = await refusal_of(Upload([FILES[0], b"GIF89a"]))
    assert isinstance(unknown, UnsupportedMediaType)
    assert unknown.detail.startswith("Image 1: ")
    large = await refusal_of(Upload([FILES[0], png.write(np.zeros((3, 22), np.uint8))]), most=65)
    assert isinstance(large, BodyTooLarge)
    assert large.detail.startswith("Image 1: ")


async def test_a_step_of_a_stream_counts_on_and_has_its_own_places():
    places = [("body", 32, "image"), ("body", 33, "image")]
    broken = await refusal_of(Upload([FILES[0], FILES[1][:60]], places, first=32))
    assert broken.fields[0].loc == ("body", 33, "image")
    unknown = await refusal_of(Upload([FILES[0], b"GIF89a"], places, first=32))
    assert unknown.detail.startswith("Image 33: ")


async def test_where_a_model_keeps_sizes_all_of_one_request_are_equal():
    both = [file(photo(8, 8)), file(photo(8, 16))]
    error = await refusal_of(Upload(list(both)), FREE)
    assert error.fields[0].msg == "for this model all images of a request must be of one size"
    assert (await Upload(both[:1] * 2).tensor(FREE, MOST)).shape == (2, 3, 8, 8)


async def test_an_array_has_the_pixels_of_an_image_at_most():
    assert isinstance(await refusal_of(Upload(PIXELS), most=63), BodyTooLarge)
    assert (await Upload(PIXELS).tensor(SPEC, 64)).shape == (3, 1, 8, 8)
    small = SPEC.model_copy(update={"max_pixels": 63})
    assert isinstance(await refusal_of(Upload(PIXELS), small), BodyTooLarge)


async def test_an_array_that_is_no_image_is_refused():
    error = await refusal_of(Upload(np.zeros((1, 8, 8, 5), np.uint8)))
    assert isinstance(error, InvalidField)
    assert error.fields[0].loc == ("body",)
