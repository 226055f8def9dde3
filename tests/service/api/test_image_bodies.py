"""Images in whichever form a request sends them, with options that obey one schema."""

import base64
import io
import json
import zipfile
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from service.api.image_bodies import READERS, read_images
from service.api.image_lines import ImageLines
from service.api.request_bodies import OCTETS
from service.api.requests import EncodeOptions, EncodeRequest
from service.api.uploads import Upload
from service.checkpoint.manifest import ImageSpec
from service.errors import InvalidField, ServiceError, UnsupportedMediaType
from service.media import npy, png
from support.in_process import MAX_IMAGES, make_app, make_request

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
FILES = [png.write(one) for one in PIXELS]
SPEC = ImageSpec(channels=1, height=8, width=8)
TENSOR = PIXELS[:, None] / np.float32(255)
QUERY = {"sample": "true", "seed": "7"}
ASKED = (True, 7)


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return make_app()


def as_json(files: list[bytes], **options: Any) -> tuple[bytes, str]:
    texts = [base64.b64encode(one).decode() for one in files]
    return json.dumps({"images": texts, **options}).encode(), "application/json"


def as_form(files: list[bytes], **options: str) -> tuple[bytes, str]:
    parts = [("images", (f"{i}.png", one, "image/png")) for i, one in enumerate(files)]
    sent = httpx.Request("POST", "http://test", files=parts, data=options)
    return sent.read(), sent.headers["content-type"]


def as_archive(files: list[bytes]) -> tuple[bytes, str]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for i, one in enumerate(files):
            archive.writestr(f"{i}.png", one)
    return stream.getvalue(), "application/zip"


def request(app: FastAPI, sent: tuple[bytes, str], **query: str) -> Request:
    raw, kind = sent
    return make_request(raw, app=app, headers={"content-type": kind}, query=query)


async def read(app: FastAPI, sent: tuple[bytes, str], **query: str) -> tuple[EncodeOptions, Upload]:
    options, found = await read_images(request(app, sent, **query), EncodeOptions, EncodeRequest)
    assert isinstance(found, Upload)
    return options, found


async def refusal_of(app: FastAPI, sent: tuple[bytes, str], **query: str) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        await read_images(request(app, sent, **query), EncodeOptions, EncodeRequest)
    return refusal.value


@pytest.mark.parametrize(
    ("sent", "query"),
    [
        (as_json(FILES, sample=True, seed=7), {}),
        (as_form(FILES), QUERY),
        (as_form(FILES, sample="true", seed="7"), {}),
        (as_form(FILES, sample="true"), {"seed": "7"}),
        (as_archive(FILES), QUERY),
        ((npy.write(PIXELS), "application/x-npy"), QUERY),
    ],
    ids=["json", "form with a query", "form", "form and query", "zip", "npy"],
)
async def test_every_form_carries_the_same_images_and_options(
    app: FastAPI, sent: tuple[bytes, str], query: dict[str, str]
):
    options, upload = await read(app, sent, **query)
    assert (options.sample, options.seed) == ASKED
    np.testing.assert_allclose(await upload.tensor(SPEC, 1 << 20), TENSOR, atol=1e-6)


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/webp"])
async def test_a_file_is_read_as_what_it_is_whatever_it_is_called(app: FastAPI, kind: str):
    options, upload = await read(app, (FILES[0], kind), **QUERY)
    assert (options.sample, options.seed) == ASKED
    np.testing.assert_allclose(await upload.tensor(SPEC, 1 << 20), TENSOR[:1], atol=1e-6)


async def test_of_lines_nothing_is_read_yet(app: FastAPI):
    lines = (b'{"image": broken', "application/x-ndjson")
    options, found = await read_images(request(app, lines, **QUERY), EncodeOptions, EncodeRequest)
    assert isinstance(found, ImageLines)
    assert (options.sample, options.seed) == ASKED


@pytest.mark.parametrize("pack", [as_json, as_form, as_archive])
async def test_as_many_images_as_the_limit_pass_and_one_more_is_refused(app: FastAPI, pack: Any):
    _, upload = await read(app, pack(FILES[:1] * MAX_IMAGES))
    assert upload.count == MAX_IMAGES
    error = await refusal_of(app, pack(FILES[:1] * (MAX_IMAGES + 1)))
    assert isinstance(error, InvalidField)
    assert str(MAX_IMAGES) in error.fields[0].msg


async def test_an_array_is_held_to_the_limit_too(app: FastAPI):
    array = np.zeros((MAX_IMAGES + 1, 8, 8), np.uint8)
    error = await refusal_of(app, (npy.write(array), "application/x-npy"))
    assert error.fields == [(("body", "images"), f"at most {MAX_IMAGES} in one request")]


@pytest.mark.parametrize(
    "sent",
    [(FILES[0], "image/png"), as_archive(FILES), (npy.write(PIXELS), "application/x-npy"), as_form(FILES)],
)
async def test_options_obey_the_schema_wherever_they_are(app: FastAPI, sent: tuple[bytes, str]):
    for query in ({"sample": "yes"}, {"seed": "7"}, {"unknown": "1"}):
        assert isinstance(await refusal_of(app, sent, **query), InvalidField)


async def test_an_option_of_a_form_is_given_once(app: FastAPI):
    error = await refusal_of(app, as_form(FILES, sample="true"), sample="true")
    assert error.fields == [(("form",), "an option is given more than once")]


async def test_a_form_needs_an_image(app: FastAPI):
    named = httpx.Request("POST", "http://test", files={"model": (None, "vae")})
    error = await refusal_of(app, (named.read(), named.headers["content-type"]))
    message = "the form needs at least one part named images"
    assert error.fields == [(("body", "images"), message)]


@pytest.mark.parametrize("kind", ["image/png", "application/x-npy", "application/zip"])
async def test_an_empty_body_has_no_image(app: FastAPI, kind: str):
    assert (await refusal_of(app, (b"", kind))).detail == "The body is empty."


async def test_another_kind_of_body_is_refused_with_all_that_can_be_read(app: FastAPI):
    error = await refusal_of(app, (b"x", "text/html"))
    assert isinstance(error, UnsupportedMediaType)
    assert all(kind in error.detail for kind in READERS if kind != OCTETS)
