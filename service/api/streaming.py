"""Streams of lines: pictures come one a line and answers go out one a line, a few at a time.

    application/x-ndjson body -> PictureLines -> Upload after Upload -> routes -> members -> Stream

Neither side holds more than one step: the next lines are read when the answers to the last have been taken.
A client that sends a stream has to read while it sends.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api import dependencies, ndjson, rendering
from service.api.rendering import Kind
from service.api.requests import PictureLine
from service.api.uploads import Upload
from service.api.validation import parse_json
from service.checkpoint.manifest import ImageSpec, Manifest
from service.errors import InvalidField, QueueFull, ServiceError
from service.http.content_negotiation import NDJSON
from service.runtime.off_loop import run_by_size

STEP_IMAGES = 32
"""Images of one step: enough for a good batch, few enough that others wait only a moment."""
STEP_VALUES = 1 << 19
"""Numbers in the images of one step at most, where one image has no more."""

LINE_BREAKS = re.compile(rb"\n\s*")
"""Empty lines go with the break before them, so that a body of them is no list of a million."""

WAIT_S = 0.1
"""Time from one try to the next where the queue is full in the middle of a stream."""

Source = TypeVar("Source")
Members = dict[str, Any]
Work = Callable[[Source], Awaitable[Members]]

logger = logging.getLogger(__name__)


class PictureLines:
    """The pictures of a body of lines, read as they come."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._max_images = dependencies.settings(request).max_stream_images

    async def uploads(self, most: int) -> AsyncGenerator[Upload, None]:
        """Yield the pictures that have come, at most `most` at once, in their order.

        Raises:
            BadRequest, InvalidField: a line is not JSON, breaks the schema, or there are too many or none;
                the place of an error begins with the number of the picture, from 0.
            ClientDisconnect: the client is gone.
        """
        exchange = dependencies.exchange(self._request)
        count = 0
        async for found, done_bytes in _lines(self._request):
            while found:
                size_bytes = sum(map(len, found[:most]))
                upload = await run_by_size(size_bytes, _upload, found, most, count)
                count += upload.count
                if count > self._max_images:
                    raise InvalidField.at(("body",), f"at most {self._max_images} images in one stream")
                yield upload
            exchange.release(done_bytes)
        if not count:
            raise InvalidField.at(("body",), "the stream needs at least one line")


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
            done_bytes, found = held.tell(), _split(held.getvalue())
            held = io.BytesIO()
            yield found, done_bytes
        held.write(memoryview(piece)[end:])


def _split(whole: bytes) -> list[bytes]:
    return [line for line in LINE_BREAKS.split(whole) if line and not line.isspace()]


def _upload(lines: list[bytes], most: int, first: int) -> Upload:
    """Take the pictures out of the first lines, `most` at most; the first is picture `first`."""
    group = lines[:most]
    del lines[:most]
    places = [("body", first + i, "image") for i in range(len(group))]
    texts = [
        parse_json(PictureLine, line, place[:-1]).image for line, place in zip(group, places, strict=True)
    ]
    return Upload(texts, places, first)


def step_images(spec: ImageSpec) -> int:
    """Return how many images of a model go in one step."""
    if spec.height is None or spec.width is None:
        return 1  # each may be of another size
    size = spec.channels * spec.height * spec.width
    return max(1, min(STEP_IMAGES, STEP_VALUES // size))


async def answer(
    request: Request, kind: Kind, model: Manifest, pictures: Upload | PictureLines, work: Work[Upload]
) -> Response:
    """Answer with what `work` makes of the pictures: of all at once, or of a stream's as they come."""
    if isinstance(pictures, Upload):
        return await rendering.render(request, kind, model, await work(pictures))
    return Stream(request, model, pictures.uploads(step_images(model.image)), work)


class Stream(StreamingResponse, Generic[Source]):
    """An answer whose lines are sent as they are made; it begins when the first of them are there."""

    def __init__(
        self, request: Request, model: Manifest, sources: AsyncGenerator[Source, None], work: Work[Source]
    ) -> None:
        """Answer with what `work` makes of each source, in their order."""
        self._named = rendering.envelope(request, model)
        self._sources = sources
        self._work = work
        dependencies.exchange(request).stream()
        super().__init__((), headers=rendering.headers(self._named), media_type=NDJSON)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the lines; the exchange makes the last one of an error behind the first."""
        try:
            async with aclosing(self._sources):
                await self._send(send)
        except (ServiceError, ClientDisconnect):
            raise
        except Exception:
            logger.exception("%s failed in a stream", self._named["request_id"])
            raise ServiceError from None

    async def _send(self, send: Send) -> None:
        count, rest = 0, self._named
        async for source in self._sources:
            members = await (self._insist(source) if count else self._work(source))
            made = await rendering.off_loop_if_large(
                members, partial(ndjson.of_images, members, count, rendering.dump)
            )
            if not count:
                rest = self._named | members
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"".join(made), "more_body": True})
            count += len(made)
        await send({"type": "http.response.body", "body": ndjson.of_end(rest, count, rendering.dump)})

    async def _insist(self, source: Source) -> Members:
        """Do the work of a step; where the queue is full the stream waits, until its time is up."""
        while True:
            try:
                return await self._work(source)
            except QueueFull:
                await asyncio.sleep(WAIT_S)
