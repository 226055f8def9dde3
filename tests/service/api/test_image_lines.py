"""A body of lines, read as they come: a few at a time, and no more than is needed."""

import base64
import json
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request

from service.api.dependencies import exchange
from service.api.image_lines import STEP_IMAGES, STEP_VALUES, ImageLines, step_images
from service.api.uploads import Upload
from service.checkpoint.manifest import ImageSpec, Manifest
from service.errors import BadRequest, InvalidField
from service.media import png
from support.in_process import make_app, make_request
from support.tiny_checkpoints import tiny_manifest

MAX_STREAM = 100
MANIFEST = tiny_manifest()
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
LINES = [json.dumps({"image": base64.b64encode(png.write(one)).decode()}).encode() for one in PIXELS]
BODY = b"\n".join([*LINES, b""])


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return make_app(max_stream_images=MAX_STREAM)


def uploads(request: Request, manifest: Manifest = MANIFEST) -> AsyncGenerator[Upload, None]:
    return ImageLines(request).uploads(manifest)


async def counts(app: FastAPI, *pieces: bytes, manifest: Manifest = MANIFEST) -> list[tuple[int, int]]:
    return [(one.first, one.count) async for one in uploads(make_request(*pieces, app=app), manifest)]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([BODY], [(0, 5)]),
        ([BODY.rstrip()], [(0, 5)]),
        ([b"\n \r\n" + BODY.replace(b"\n", b"\r\n\n")], [(0, 5)]),
        ([BODY[:50], BODY[50:]], [(0, 5)]),
        ([*(line + b"\n" for line in LINES), b""], [(i, 1) for i in range(5)]),
        ([BODY[i : i + 7] for i in range(0, len(BODY), 7)], [(i, 1) for i in range(5)]),
    ],
    ids=["whole", "no last break", "empty lines", "cut in a line", "line by line", "in splinters"],
)
async def test_images_are_those_whose_lines_have_come(
    app: FastAPI, pieces: list[bytes], expected: list[tuple[int, int]]
):
    assert await counts(app, *pieces) == expected
    tensors = [
        await one.tensor(MANIFEST.image, 1 << 20) async for one in uploads(make_request(*pieces, app=app))
    ]
    np.testing.assert_allclose(np.concatenate(tensors), PIXELS[:, None] / np.float32(255), atol=1e-6)


async def test_many_come_in_steps(app: FastAPI):
    many = (LINES[0] + b"\n") * (STEP_IMAGES + 1)
    assert await counts(app, many) == [(0, STEP_IMAGES), (STEP_IMAGES, 1)]
    free = tiny_manifest(size=None, operations=("encode",))
    assert await counts(app, BODY, manifest=free) == [(i, 1) for i in range(5)]


def test_a_step_has_as_many_images_as_make_a_good_batch():
    def of(channels: int, side: int | None) -> int:
        return step_images(ImageSpec.model_validate({"channels": channels, "height": side, "width": side}))

    assert (of(1, 28), of(1, None)) == (STEP_IMAGES, 1)
    assert of(1, 256) == STEP_VALUES // 256**2
    assert of(3, 4096) == 1


async def test_what_has_been_answered_is_let_go_of(app: FastAPI):
    first, second = LINES[0] + b"\n", LINES[1] + b"\n"
    request = make_request(first, second, app=app)
    exchange(request).stream()
    found = uploads(request)
    await anext(found)
    assert (exchange(request).held_bytes, exchange(request).released_bytes) == (len(first), 0)
    await anext(found)
    assert (exchange(request).held_bytes, exchange(request).released_bytes) == (len(second), len(first))
    assert [one async for one in found] == []
    assert exchange(request).held_bytes == 0


@pytest.mark.parametrize(
    ("spoilt", "loc"),
    [
        (b'{"photo": "x"}', ("body", 1, "image")),
        (b'{"image": 5}', ("body", 1, "image")),
        (b'["x"]', ("body", 1)),
    ],
)
async def test_a_line_that_breaks_the_schema_is_named_by_its_image(app: FastAPI, spoilt: bytes, loc: Any):
    with pytest.raises(InvalidField) as refusal:
        await counts(app, LINES[0] + b"\n" + spoilt)
    assert refusal.value.fields[0].loc == loc


async def test_a_line_that_is_not_json_is_named_too(app: FastAPI):
    with pytest.raises(BadRequest, match=r"^Body\.1 is not valid JSON"):
        await counts(app, LINES[0] + b"\n{")


@pytest.mark.parametrize("body", [b"", b"\n\n \n"])
async def test_one_line_is_needed(app: FastAPI, body: bytes):
    with pytest.raises(InvalidField, match="at least one line"):
        await counts(app, body)


async def test_as_many_images_as_the_limit_pass_and_one_more_is_refused(app: FastAPI):
    whole = (LINES[0] + b"\n") * MAX_STREAM
    assert sum(count for _, count in await counts(app, whole)) == MAX_STREAM
    with pytest.raises(InvalidField, match=f"at most {MAX_STREAM} images"):
        await counts(app, whole + LINES[0])


async def test_a_client_that_hangs_up_ends_it(app: FastAPI):
    request = make_request(BODY, app=app)
    await request.receive()
    with pytest.raises(ClientDisconnect):
        await anext(uploads(request))
