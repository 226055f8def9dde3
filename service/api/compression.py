"""gzip and deflate for the protocols whose clients use them, with a limit on what a body inflates to."""

from __future__ import annotations

from isal import igzip_lib, isal_zlib
from starlette.requests import Request

from service.api.dependencies import exchange, settings
from service.errors import BadRequest, BodyTooLarge, UnsupportedMediaType
from service.runtime.off_loop import run_by_size

LEVEL = 1
SMALLEST_BYTES = 1 << 10
"""Of an answer that is worth compressing."""

_FORMATS = {"gzip": (31, igzip_lib.COMP_GZIP), "deflate": (15, igzip_lib.COMP_ZLIB)}
"""The window bits to read each with, which name the container too, and the container to write."""


async def inflate(raw: bytes, request: Request) -> bytes:
    """Return a body as it was before its client compressed it.

    Raises:
        UnsupportedMediaType: its Content-Encoding is neither gzip nor deflate.
        BodyTooLarge: it holds more than a body may.
        QueueFull: all requests together hold too much.
        BadRequest: it is damaged or cut off.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return raw
    if encoding not in _FORMATS:
        raise UnsupportedMediaType(f"A body may be compressed as {' or '.join(_FORMATS)}.")
    content = await run_by_size(len(raw), _inflated, raw, encoding, settings(request).max_body_bytes)
    exchange(request).hold(len(content))
    return content


def _inflated(raw: bytes, encoding: str, max_bytes: int) -> bytes:
    reader = isal_zlib.decompressobj(_FORMATS[encoding][0])
    try:
        content: bytes = reader.decompress(raw, max_bytes + 1)
    except Exception:  # noqa: BLE001 -- the library does not type its own error as one
        raise BadRequest(f"The body is not whole {encoding}.") from None
    if len(content) > max_bytes:
        raise BodyTooLarge(f"A request body may have {max_bytes} bytes.")
    if not reader.eof:
        raise BadRequest(f"The body is not whole {encoding}.")
    return content


async def deflate(content: bytes, request: Request) -> tuple[bytes, dict[str, str]]:
    """Return an answer as its client can read it, and the header for it; small ones stay as they are."""
    accepted = request.headers.get("accept-encoding", "").lower()
    for encoding, (_, container) in _FORMATS.items():
        if encoding in accepted and len(content) >= SMALLEST_BYTES:
            packed: bytes = await run_by_size(len(content), igzip_lib.compress, content, LEVEL, container)
            return packed, {"Content-Encoding": encoding}
    return content, {}
