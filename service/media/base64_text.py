"""Base64 as people write it: padded or not, url-safe or not, in one line or in many; alone or in a data URL.

uploads -> decode -> the bytes of an image file
"""

from __future__ import annotations

import base64
import io
from contextlib import suppress

PIECE = 1 << 20
"""Characters that are read at once, since nobody else has the interpreter meanwhile."""

URL_SAFE = bytes.maketrans(b"-_", b"+/")
LINE_BREAKS = b"\r\n"
"""Blanks are not passed over: one may have been a `+` before somebody took the text for part of a query."""


def is_data_url(text: str | bytes) -> bool:
    """Return whether a text claims to be a data URL."""
    return text[:5].lower() in ("data:", b"data:")


def decode(text: str) -> bytes:
    """Return what a text or data URL holds.

    Raises:
        ValueError: it is not base64, or the data URL is not of base64; the message says which.
    """
    if is_data_url(text):
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise ValueError("a data URL must be data:image/...;base64,...")
    if len(text) <= PIECE:
        with suppress(ValueError):  # most is as the standard has it
            return base64.b64decode(text, validate=True)
    try:
        return _decode_loosely(text)
    except ValueError:
        raise ValueError("Input should be base64 or a data URL") from None


def _decode_loosely(text: str) -> bytes:
    raw, rest, whole_bytes = io.BytesIO(), b"", 0
    for start in range(0, len(text), PIECE):
        rest += text[start : start + PIECE].encode("ascii").translate(URL_SAFE, LINE_BREAKS)
        end = len(rest) // 4 * 4
        _write(raw, rest[:end], whole_bytes)
        whole_bytes += end // 4 * 3
        rest = rest[end:]
    _write(raw, _padded(rest), whole_bytes)
    return raw.getvalue()


def _write(raw: io.BytesIO, quads: bytes, whole_bytes: int) -> None:
    """Add what groups of four hold; those before hold `whole_bytes`, unless one of them was padded."""
    if quads and raw.tell() != whole_bytes:
        raise ValueError("padded before its end")
    raw.write(base64.b64decode(quads, validate=True))


def _padded(rest: bytes) -> bytes:
    """Return the last group, which may lack its padding or a part of it."""
    bare = rest.rstrip(b"=")
    return bare + b"=" * (-len(bare) % 4)
