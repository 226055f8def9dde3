"""gzip and deflate: bodies that come compressed, within the limits of any body, and answers where it pays.

    request_bodies -> inflate;  routes -> CompressedResponse -> the answer as its client takes it

Images are compressed already, and so is most of JSON that holds them; lines are sent as they are made.
"""

from __future__ import annotations

from isal import igzip_lib, isal_zlib
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.dependencies import exchange, settings
from service.errors import BadRequest, BodyTooLarge, UnsupportedMediaType
from service.http.headers import header
from service.runtime.off_loop import run_by_size

LEVEL = 1
SMALLEST_BYTES = 1 << 10
"""Of an answer that is worth compressing."""

_FORMATS = {"gzip": (31, igzip_lib.COMP_GZIP), "deflate": (15, igzip_lib.COMP_ZLIB)}
"""The window bits to read each with, which name the container too, and the container to write."""


def encoding_of(request: Request) -> str:
    """Return what a body is compressed as, `identity` if it is not.

    Raises:
        UnsupportedMediaType: its Content-Encoding is neither gzip nor deflate.
    """
    given = header(request.scope, b"content-encoding")
    encoding = given.decode("latin-1").strip().lower() if given else ""
    if not encoding:
        return "identity"
    if encoding != "identity" and encoding not in _FORMATS:
        raise UnsupportedMediaType(f"A body may be compressed as {' or '.join(_FORMATS)}.")
    return encoding


async def inflate(raw: bytes, request: Request, max_bytes: int | None = None) -> bytes:
    """Return a body as it was before its client compressed it; it may have `max_bytes`, or what any body may.

    Raises:
        UnsupportedMediaType: see `encoding_of`.
        BodyTooLarge: it holds more than a body may.
        QueueFull: all requests together hold too much.
        BadRequest: it is damaged or cut off.
    """
    encoding = encoding_of(request)
    if encoding == "identity":
        return raw
    limit = settings(request).max_body_bytes if max_bytes is None else max_bytes
    content = await run_by_size(len(raw), _inflated, raw, encoding, limit)
    exchange(request).hold(len(content))
    return content


def _inflated(raw: bytes, encoding: str, max_bytes: int) -> bytes:
    reader = isal_zlib.decompressobj(_FORMATS[encoding][0])
    try:
        content: bytes = reader.decompress(raw, max_bytes + 1)
    except Exception:  # noqa: BLE001 -- the library does not type its own error as one
        raise BadRequest(f"The body is not whole {encoding}.") from None
    if len(content) > max_bytes:
        raise BodyTooLarge(f"The body of this request may have {max_bytes} bytes.")
    if not reader.eof:
        raise BadRequest(f"The body is not whole {encoding}.")
    return content


class CompressedResponse(Response):
    """An answer that is sent compressed to a client that takes that, unless it is small."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if len(self.body) >= SMALLEST_BYTES:
            self.headers.add_vary_header("Accept-Encoding")
            encoding = accepted_encoding(scope)
            if encoding:
                self.body = await compress(bytes(self.body), encoding)
                self.headers["Content-Encoding"] = encoding
                self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def accepted_encoding(scope: Scope) -> str | None:
    """Return what a client takes its answer compressed as, None for not at all."""
    accepted = header(scope, b"accept-encoding")
    if not accepted:
        return None
    ranges = dict(_range(item) for item in accepted.decode("latin-1").lower().split(","))
    return next((one for one in _FORMATS if ranges.get(one, False)), None)


def _range(item: str) -> tuple[str, bool]:
    """Return a coding that a client names, and whether it takes it: `gzip;q=0` says that it does not."""
    name, _, weight = item.partition(";")
    return name.strip(), weight.replace(" ", "").rstrip("0.") != "q="


async def compress(content: bytes, encoding: str) -> bytes:
    """Return content compressed; a thread does what takes long."""
    packed: bytes = await run_by_size(len(content), igzip_lib.compress, content, LEVEL, _FORMATS[encoding][1])
    return packed
