"""The answer to one request: negotiated first, then sent once or as a stream of lines.

    route -> Responder(request, offered) -> once(members), or stream(members after members)

A stream is sent as its members are made; it begins when the first of them are there, so that whatever fails
before is refused like anything else. What fails later is its last line (`Exchange`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api import dependencies, ndjson, rendering
from service.api.compression import CompressedResponse
from service.api.payload import Members, OutputImages, dump
from service.checkpoint.manifest import Manifest
from service.http.content_negotiation import JSON, NDJSON
from service.observability import metrics, traces

IN_PLACE_VALUES = 1 << 16
"""Image values that are encoded on the event loop (about 3 ms); more go to a thread."""

Made = TypeVar("Made")


class Responder:
    """Answers one request in the media type that its client likes best of those offered."""

    def __init__(self, request: Request, offered: Sequence[str]) -> None:
        """Negotiate; make it first, so that nothing is computed in vain.

        Raises:
            NotAcceptable, InvalidField: see `negotiate`.
        """
        self._request = request
        self._form = rendering.negotiate(request, offered)

    @property
    def streams(self) -> bool:
        """Return whether the answer is lines, which can be sent one after another."""
        return self._form.media_type == NDJSON

    async def once(self, model: Manifest, members: Members) -> Response:
        """Return the answer of a model as a whole."""
        whole = self._envelope(model) | members
        content = await _rendered(members, partial(rendering.render, self._form, whole))
        if self._form.media_type != JSON:
            return Response(content, headers=rendering.headers(whole), media_type=self._form.media_type)
        return (Response if "images" in members else CompressedResponse)(content, media_type=JSON)

    def stream(self, model: Manifest, answers: AsyncGenerator[Members, None]) -> Response:
        """Return the answer of a model whose images come a few at a time, as lines."""
        dependencies.exchange(self._request).stream()
        return _Stream(self._envelope(model), answers)

    def _envelope(self, model: Manifest) -> Members:
        """Return the members that every answer of a model has."""
        request_id = dependencies.request_id(self._request)
        return {"model": model.name, "version": model.version, "request_id": request_id}


class _Stream(StreamingResponse):
    """Lines that are sent as they are made, and wait for their client to read."""

    def __init__(self, envelope: Members, answers: AsyncGenerator[Members, None]) -> None:
        self._envelope = envelope
        self._answers = answers
        super().__init__((), headers=rendering.headers(envelope), media_type=NDJSON)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the lines."""
        count, rest = 0, self._envelope
        async with aclosing(self._answers):
            async for members in self._answers:
                lines = await _rendered(members, partial(ndjson.of_images, members, count))
                if not count:
                    rest = self._envelope | members
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await send({"type": "http.response.body", "body": b"".join(lines), "more_body": True})
                count += len(lines)
        await send({"type": "http.response.body", "body": ndjson.of_end(rest, count)})


def json_response(request: Request, members: Members) -> Response:
    """Return an answer that is not a model's."""
    content = dump({**members, "request_id": dependencies.request_id(request)})
    return CompressedResponse(content, media_type=JSON)


async def _rendered(members: Members, render: Callable[[], Made]) -> Made:
    """Return what is made of members, in a thread if their images take long; the time is kept."""
    started = time.perf_counter()
    shown = members.get("images")
    is_large = isinstance(shown, OutputImages) and shown.images.size > IN_PLACE_VALUES
    rendered = await asyncio.to_thread(render) if is_large else render()
    metrics.POSTPROCESS.end(started, traces.recorded())
    return rendered
