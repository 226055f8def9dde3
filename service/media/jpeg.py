"""JPEG files, decoded by libjpeg-turbo, which reports what it had to make up.

    image_files -> read -> Jpeg (size, EXIF) -> Jpeg.decode -> pixels

Pillow decodes by the same library but drops its warnings, and what a cut scan lacks is grey then. Here a
warning refuses the file. So that metadata never causes one, the decoder gets the segments that decide pixels
and an end marker of ours: a file that lacks nothing but its own is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from service.media import exif
from service.media.image_errors import (
    BROKEN_HEADER,
    DAMAGED,
    TOO_MANY_PARTS,
    BrokenImage,
    UnsupportedImage,
)

START, END = b"\xff\xd8", b"\xff\xd9"
MAX_SEGMENTS = 1 << 14
"""Segments, and stray bytes between them, each of which counts as one."""
MAX_SCANS = 100
"""A progressive JPEG has about ten; each takes a pass over the whole image."""

JFIF, EXIF, ADOBE, SCAN = 0xE0, 0xE1, 0xEE, 0xDA
JFIF_BYTES, ADOBE_TRANSFORM = 14, 11
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE_FRAMES = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
DECISIVE = frozenset({*range(0xC0, 0xD0), SCAN, 0xDB, 0xDD}) - {0xC8}
"""Frames, tables, restart intervals and scans."""
BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without content."""

PLAIN_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
PLAIN_ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0%c"
"""Both decide whether colours are YCbCr; with other versions or units the decoder would warn."""
WHOLE_SCAN = b"\0\x3f\0"
"""What the header of a sequential scan ends with; some cameras write other numbers, which mean nothing."""
COEFFICIENTS = 64
UNSEEN = 255

HARMLESS = "extraneous bytes before marker 0xd9"
"""The one warning with which an image is whole: some encoders pad its last scan."""
NO_SUBSAMPLING = "the image is a JPEG of a chroma subsampling that is not read"
DECODED_AS = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}
CHANNELS = {"GRAY": 1, "CMYK": 4, "RGBX": 4}
"""Of pixels as Pillow has them in memory."""

_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True)
class Jpeg:
    """A JPEG whose header has been read."""

    stream: bytes
    """What the decoder gets."""
    exif: bytes
    size: tuple[int, int]
    """Width and height."""
    mode: str
    """GRAY, CMYK or RGBX."""

    def decode(self) -> NDArray[np.uint8]:
        """Return the pixels, (H, W) or (H, W, 4).

        Raises:
            BrokenImage: the file is cut off or damaged.
        """
        width, height = self.size
        pixels = np.empty((height, width, CHANNELS[self.mode]), np.uint8)
        try:
            simplejpeg.decode_jpeg(self.stream, self.mode, buffer=pixels)
        except ValueError as warning:
            if HARMLESS not in str(warning):
                raise BrokenImage(DAMAGED) from None
        if self.mode == "CMYK":
            np.invert(pixels, out=pixels)  # as Adobe's programs store it, and Pillow reads all
        return pixels[..., 0] if self.mode == "GRAY" else pixels


def read(raw: bytes) -> Jpeg:
    """Read the header, without decoding.

    Raises:
        BrokenImage: the header is damaged, scans are missing, or there are too many segments or scans.
        UnsupportedImage: its chroma is subsampled in a way that the decoder does not know.
    """
    stream, found = _decisive_parts(raw)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(stream)
    except (KeyError, ValueError) as error:  # it would be the context of what is raised here, with the file
        is_unknown = isinstance(error, KeyError) or "subsampling" in str(error)
        refusal = UnsupportedImage(NO_SUBSAMPLING) if is_unknown else BrokenImage(BROKEN_HEADER)
    else:
        return Jpeg(stream, found, (int(width), int(height)), DECODED_AS.get(str(colours), "RGBX"))
    raise refusal


class _Segment(NamedTuple):
    """A segment: its marker, where that is, and where the content begins and ends."""

    marker: int
    at: int
    start: int
    end: int


@dataclass
class _Coverage:
    """The lowest bit that the scans bring, for each coefficient of each component."""

    is_progressive: bool = False
    lowest_bits: dict[int, bytearray] = field(default_factory=dict)
    _scans: int = 0

    def add_frame(self, marker: int, content: memoryview) -> None:
        """Take the components that a frame header lists."""
        self.is_progressive = marker in PROGRESSIVE_FRAMES
        ids = content[6::3]
        self.lowest_bits = {component: bytearray([UNSEEN] * COEFFICIENTS) for component in ids}

    def add_scan(self, content: memoryview) -> None:
        """Take what a scan header promises."""
        self._scans += 1
        if self._scans > MAX_SCANS:
            raise BrokenImage(TOO_MANY_PARTS)
        if len(content) < 6:
            raise BrokenImage(BROKEN_HEADER)
        first, last, bits = content[-3:] if self.is_progressive else (0, COEFFICIENTS - 1, 0)
        for component in content[1:-3:2]:
            if component in self.lowest_bits and first <= last < COEFFICIENTS:
                self.lowest_bits[component][first : last + 1] = bytes([bits & 15]) * (last + 1 - first)

    def is_complete(self) -> bool:
        """Return whether nothing is missing; a progressive JPEG that is cut between scans lacks some."""
        return bool(self.lowest_bits) and not any(map(any, self.lowest_bits.values()))


@dataclass
class _Header:
    """What is kept of the segments up to the first scan."""

    pieces: list[bytes] = field(default_factory=list)
    exif: bytes = b""
    transform: int | None = None
    """Of colours, as Adobe's segment has it."""

    def add(self, marker: int, segment: memoryview) -> None:
        """Keep a segment if it matters."""
        content = segment[4:]
        if marker in DECISIVE:
            self.pieces.append(bytes(segment))
        elif marker == EXIF and not self.exif and bytes(content[: len(exif.PREFIX)]) == exif.PREFIX:
            self.exif = bytes(content)
        elif marker == JFIF and bytes(content[:5]) == b"JFIF\0" and len(content) >= JFIF_BYTES:
            self.pieces.append(PLAIN_JFIF)
        elif marker == ADOBE and bytes(content[:5]) == b"Adobe" and len(content) > ADOBE_TRANSFORM:
            self.transform = content[ADOBE_TRANSFORM]

    def written(self, coverage: _Coverage) -> bytes:
        """Return the header so that the decoder has nothing to warn of."""
        pieces = self.pieces
        if not coverage.is_progressive:
            pieces = [*pieces[:-1], pieces[-1][:-3] + WHOLE_SCAN]
        if self.transform is None:
            return b"".join((START, *pieces))
        # Of three colours 0 and 1 are known, of four 0 and 2; the decoder takes any other for the second.
        known = 2 if len(coverage.lowest_bits) == 4 else 1
        return b"".join((START, PLAIN_ADOBE % (self.transform and known), *pieces))


def _decisive_parts(raw: bytes) -> tuple[bytes, bytes]:
    """Return the file without what does not decide its pixels, and its EXIF."""
    view, header, coverage, segments = memoryview(raw), _Header(), _Coverage(), _segments(raw)
    first_scan = None
    for marker, at, start, end in segments:
        if marker == SCAN:
            coverage.add_scan(view[start:end])
        elif first_scan is None and marker in FRAMES:
            coverage.add_frame(marker, view[start:end])
        if first_scan is None:
            header.add(marker, view[at:end])
            first_scan = end if marker == SCAN else None
            if first_scan and coverage.is_complete():
                break  # which spares the way through the scan of most files
    if first_scan is None:
        raise BrokenImage(BROKEN_HEADER)
    if not coverage.is_complete():
        raise BrokenImage(DAMAGED)
    return b"".join((header.written(coverage), view[first_scan:], END)), header.exif


def _segments(raw: bytes) -> Iterator[_Segment]:
    """Step through the segments up to the end marker, or to where the file is cut off."""
    at = len(START)
    for _ in range(MAX_SEGMENTS + 1):
        if at + 4 > len(raw) or raw[at : at + 2] == END:
            return
        marker = raw[at + 1]
        if raw[at] != 0xFF or marker in (0x00, 0xFF):
            at += 1
        elif marker in BARE:
            at += 2
        else:
            end = at + 2 + max(2, int.from_bytes(raw[at + 2 : at + 4], "big"))
            if end > len(raw):
                return
            yield _Segment(marker, at, at + 4, end)
            at = _scan_end(raw, end) if marker == SCAN else end
    raise BrokenImage(TOO_MANY_PARTS)


def _scan_end(raw: bytes, start: int) -> int:
    """Return where the coded data of a scan ends: at the next marker that is not one of a restart."""
    found = _SCAN_END.search(raw, start)
    return found.start() if found else len(raw)
