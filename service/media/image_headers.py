"""What the bytes of a picture's file say before anything decodes them: its format, and how many parts it has.

images -> format_of, has_too_many_parts
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Literal

MAX_PROFILES = 8
MAX_SEGMENTS = 1 << 14
MAX_SCANS = 100
JPEG_BARE_MARKERS = [bytes([marker]) for marker in (0x01, *range(0xD0, 0xDA))]


def format_of(raw: bytes) -> Literal["PNG", "JPEG", "WEBP"] | None:
    """Return what bytes begin as, None if it is another format or none."""
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if raw.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    return "WEBP" if (raw[:4], raw[8:12]) == (b"RIFF", b"WEBP") else None


def has_too_many_parts(raw: bytes) -> bool:
    """Say whether a file was made to keep Pillow busy.

    Pillow bounds what a PNG's texts inflate to, but not its colour profiles, of which it may have one; every
    scan of a progressive JPEG, about ten of them, passes over the whole picture.
    """
    found = format_of(raw)
    if found == "WEBP":
        return False
    steps = _png_chunks(raw) if found == "PNG" else _jpeg_markers(raw)
    return (
        any(islice(steps, MAX_SEGMENTS, None))
        or raw.count(b"iCCP") > MAX_PROFILES
        or (found == "JPEG" and raw.count(b"\xff\xda") > MAX_SCANS)
    )


def _png_chunks(raw: bytes) -> Iterator[int]:
    """Step through the chunks of a PNG by their offsets."""
    at = 8
    while at < len(raw):
        yield at
        at += 12 + int.from_bytes(raw[at : at + 4], "big")


def _jpeg_markers(raw: bytes) -> Iterator[int]:
    """Step through a JPEG up to its scan by the offsets of its markers, and of stray bytes between them."""
    at = 2
    while at < len(raw) and raw[at : at + 2] != b"\xff\xda":
        yield at
        if raw[at] != 0xFF or raw[at + 1 : at + 2] in (b"\x00", b"\xff"):
            at += 1
        elif raw[at + 1 : at + 2] in JPEG_BARE_MARKERS:
            at += 2
        else:
            at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
