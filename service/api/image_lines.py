"""A body of lines, each with an image: read as they come, a few at a time.

    application/x-ndjson body -> ImageLines -> Upload after Upload -> routes

No more than one step is held: the next lines are read when the answers to the last have been taken. A client
that sends a stream has to read while it sends.
"""

from __future__ import annotations

import io
import re
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.requests import ClientDisconnect, Request

from service.api import dependencies
from service.api.requests import ImageLine
from service.api.uploads import Upload
from service.api.validation import parse_json
from service.checkpoint.manifest import ImageSpec, Manifest
from service.errors import InvalidField
from service.runtime.off_loop import run_by_size

STEP_IMAGES = 32
"""Images of one step: enough for a good batch, few enough that others wait only a moment."""
STEP_VALUES = 1 << 19
"""Numbers in the images of one step at most, where one image has no more."""

LINE_BREAKS = re.compile(rb"\n\s*")
"""Empty lines go with the break before them, so that a body of them is no list of a million."""


class ImageLines:
    """The images of a body of lines, of which nothing is read before they are asked for."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._max_images = dependencies.settings(request).max_stream_images

    async def uploads(self, model: Manifest) -> AsyncGenerator[Upload, None]:
        """Yield the images that have come, as many at once as suits the model, in their order.

        Raises:
            BadRequest, InvalidField: a line is not JSON, breaks the schema, or there are too many or none;
                the place of an error begins with the number of the image, from 0.
            ClientDisconnect: the client is gone.
        """
        exchange = dependencies.exchange(self._request)
        most, count = step_images(model.image), 0
        async for lines, done_bytes in _lines(self._request):
            while lines:
                size_bytes = sum(map(len, lines[:most]))
                upload = await run_by_size(size_bytes, _upload, lines, most, count)
                count += upload.count
                if count > self._max_images:
                    raise InvalidField.at(("body",), f"at most {self._max_images} images in one stream")
                yield upload
            exchange.release(done_bytes)
        if not count:
            raise InvalidField.at(("body",), "the stream needs at least one line")


def step_images(spec: ImageSpec) -> int:
    """Return how many images of a model go in one step of a stream."""
    if spec.height is None or spec.width is None:
        return 1  # each may be of another size
    size = spec.channels * spec.height * spec.width
    return max(1, min(STEP_IMAGES, STEP_VALUES // size))


async def _lines(request: Request) -> AsyncIterator[tuple[list[bytes], int]]:
    """Yield the whole lines that each piece of the body ends, and how many bytes they were in it.

    What follows the last line break is a line too. No line is in memory twice: one may be as large as a body.
    """
    held = io.BytesIO()
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece, more = message.get("body", b""), message.get("more_body", False)
        end = piece.rfind(b"\n") + 1 if more else len(piece)
        held.write(memoryview(piece)[:end])
        if end or not more:
            done_bytes, lines = held.tell(), _split(held.getvalue())
            held = io.BytesIO()
            yield lines, done_bytes
        held.write(memoryview(piece)[end:])


def _split(whole: bytes) -> list[bytes]:
    return [line for line in LINE_BREAKS.split(whole) if line and not line.isspace()]


def _upload(lines: list[bytes], most: int, first: int) -> Upload:
    """Take the images out of the first lines, `most` at most; the first is image `first` of the stream."""
    group = lines[:most]
    del lines[:most]
    places = [("body", first + i, "image") for i in range(len(group))]
    texts = [parse_json(ImageLine, line, place[:-1]).image for line, place in zip(group, places, strict=True)]
    return Upload(texts, places, first)
