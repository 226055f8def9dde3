"""Forms that OpenAI's clients send images in."""

from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI, Request

from service.checkpoint.manifest import ImageSpec
from service.errors import InvalidField, Location, UnsupportedMediaType
from service.media import png
from service.protocols.openai.image_forms import read
from service.protocols.openai.messages import AnswerOptions
from support.in_process import MAX_IMAGES, make_app, make_request

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)
FILE = png.write(PIXELS)
SPEC = ImageSpec(channels=1, height=8, width=8)


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return make_app()


def form(app: FastAPI, *files: tuple[str, bytes], **fields: str) -> Request:
    parts = [(name, ("a.png", raw, "image/png")) for name, raw in files]
    given: Any = [*parts, *((name, (None, text)) for name, text in fields.items())]
    sent = httpx.Request("POST", "http://localhost", files=given)
    return make_request(sent.read(), app=app, headers={"content-type": sent.headers["content-type"]})


@pytest.mark.parametrize("name", ["image", "image[]"])
async def test_images_and_options_come_as_parts(app: FastAPI, name: str):
    request = form(app, (name, FILE), (name, FILE), size="12x12", user="ignored", output_format="")
    options, upload = await read(request, AnswerOptions)
    assert (options.size, options.output_format, upload.count) == ((12, 12), None, 2)
    tensor = await upload.tensor(SPEC, 1 << 20)
    np.testing.assert_allclose(tensor[1, 0], PIXELS / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("files", "fields", "loc"),
    [
        ([], {"size": "12x12"}, ("form", "image")),
        ([("image", FILE), ("mask", FILE)], {}, ("form", "mask")),
        ([("image", FILE)], {"size": "large"}, ("form", "size")),
    ],
)
async def test_what_cannot_be_obeyed_is_refused(
    app: FastAPI, files: list[tuple[str, bytes]], fields: dict[str, str], loc: Location
):
    with pytest.raises(InvalidField) as refusal:
        await read(form(app, *files, **fields), AnswerOptions)
    assert refusal.value.fields[0].loc == loc


async def test_as_many_images_as_the_limit_pass_and_one_more_is_refused(app: FastAPI):
    _, upload = await read(form(app, *[("image", FILE)] * MAX_IMAGES), AnswerOptions)
    assert upload.count == MAX_IMAGES
    with pytest.raises(InvalidField):
        await read(form(app, *[("image", FILE)] * (MAX_IMAGES + 1)), AnswerOptions)


async def test_an_image_that_is_broken_is_named_by_its_part(app: FastAPI):
    _, upload = await read(form(app, ("image", FILE), ("image", FILE[:60])), AnswerOptions)
    with pytest.raises(InvalidField) as refusal:
        await upload.tensor(SPEC, 1 << 20)
    assert refusal.value.fields[0].loc == ("form", "image", 1)


async def test_another_kind_of_body_is_refused(app: FastAPI):
    with pytest.raises(UnsupportedMediaType):
        await read(make_request(b"{}", app=app, headers={"content-type": "application/json"}), AnswerOptions)
