"""Answers with images, in the shape of OpenAI's images API."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from service.checkpoint.manifest import ImageSpec
from service.errors import InvalidField
from service.protocols.openai.image_answers import MAX_PIXELS, answer, check_pixels, check_size
from service.protocols.openai.messages import AnswerOptions

SPEC = ImageSpec(channels=1, height=4, width=6, range=(-1.0, 1.0))
PIXELS = np.arange(48, dtype=np.uint8).reshape(2, 4, 6)
MADE = (PIXELS[:, None] / 127.5 - 1).astype(np.float32)
SIDE = 1024
MOST = MAX_PIXELS // SIDE**2


def options(**members: object) -> AnswerOptions:
    return AnswerOptions.model_validate(members)


async def test_each_image_has_its_file_and_what_is_said_of_it():
    found = json.loads(bytes((await answer(options(), SPEC, MADE, {"seed": [7, 8]})).body))
    assert (found["output_format"], found["size"]) == ("png", "6x4")
    assert [one["seed"] for one in found["data"]] == [7, 8]
    for one, pixels in zip(found["data"], PIXELS, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(one["b64_json"])))
        assert np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
async def test_a_size_and_a_format_are_those_asked_for(kind: str):
    asked = options(size="12x12", output_format=kind)
    found = json.loads(bytes((await answer(asked, SPEC, MADE[:1], {})).body))
    image = Image.open(io.BytesIO(base64.b64decode(found["data"][0]["b64_json"])))
    assert (image.size, (image.format or "").lower()) == ((12, 12), kind)
    assert (found["size"], found["output_format"]) == ("12x12", kind)


def test_all_pixels_of_an_answer_are_limited_where_a_size_is_asked_for():
    size = f"{SIDE}x{SIDE}"
    check_size(options(size=size), MOST)
    check_size(options(), 10**6)
    with pytest.raises(InvalidField) as refusal:
        check_size(options(size=size), MOST + 1)
    assert refusal.value.fields[0].loc == ("body", "size")


def test_one_image_of_the_models_own_size_may_be_as_large_as_it_is():
    check_pixels(1, 10**6, 10**6, field="image")
    check_pixels(MOST, SIDE, SIDE, field="image")
    for count, side, field in ((MOST + 1, SIDE, "image"), (1, 10**4, "size")):
        with pytest.raises(InvalidField):
            check_pixels(count, side, side, field=field)
