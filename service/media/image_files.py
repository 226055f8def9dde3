"""Image files to upright pixels: the one place where files are opened, for the service and for training.

    raw -> open_image -> ImageFile (size) -> upright -> Pillow image -> images (fitting)

Of metadata only the orientation counts. What else a file carries is neither read nor inflated, so that it
cannot refuse an image, and pixels are turned without writing metadata anew.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

# The plugins are imported for their registration: Pillow would otherwise load all forty at the first WebP.
from PIL import Image, PngImagePlugin, WebPImagePlugin  # noqa: F401

from service.media import exif, image_headers, jpeg, png
from service.media.image_errors import (
    BROKEN_HEADER,
    DAMAGED,
    BrokenImage,
    ImageError,
    ImageTooLarge,
    UnsupportedImage,
)

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its EXIF orientation."""
JPEG_MODES = {"GRAY": "L", "CMYK": "CMYK", "RGBX": "RGBX"}
PNG_DEPTH_AT = 24
"""Where a PNG says how many bits a channel has."""

# Pillow's own limit only warns up to twice its size; `open_image` checks every header.
Image.MAX_IMAGE_PIXELS = None

Made = TypeVar("Made")


@dataclass(frozen=True)
class ImageFile:
    """An image file whose header has been read."""

    size: tuple[int, int]
    """Width and height as stored."""
    exif: bytes
    _decode: Callable[[], Image.Image]

    def upright(self) -> Image.Image:
        """Decode the image and turn it upright.

        Raises:
            BrokenImage: the file is truncated or damaged; never half an image.
        """
        image = attempt(self._decode)
        if image is None:
            raise BrokenImage(DAMAGED)
        turn = TURNS.get(exif.orientation(self.exif))
        return image if turn is None else image.transpose(turn)


def open_image(raw: bytes, max_pixels: int, formats: Collection[str] = image_headers.READ) -> ImageFile:
    """Read the header of an image file, without decoding.

    Args:
        raw: the file.
        max_pixels: that it may have.
        formats: names of `image_headers`; formats besides PNG, JPEG and WebP are for files that are trusted.

    Raises:
        UnsupportedImage: another format; says which, if it is known.
        ImageTooLarge: more than `max_pixels`.
        BrokenImage: the header is truncated or damaged, or the file has too many parts.
    """
    kind = image_headers.format_of(raw)
    if kind is None or kind not in formats:
        raise UnsupportedImage(image_headers.refusal(kind))
    opened = _OPEN.get(kind, _open_with_pillow)(raw, kind)
    width, height = opened.size
    if width * height > max_pixels:
        raise ImageTooLarge(f"the image is {width} x {height}; at most {max_pixels} pixels are allowed")
    return opened


def _open_png(raw: bytes, kind: str) -> ImageFile:
    chunks, found = png.pixel_chunks(raw)
    image = attempt(Image.open, io.BytesIO(chunks), formats=(kind,))
    if image is None:
        raise BrokenImage(BROKEN_HEADER)

    def decode() -> Image.Image:
        image.load()
        _scale_colour_key(image, raw[PNG_DEPTH_AT])
        return image

    return ImageFile(image.size, found, decode)


def _scale_colour_key(image: Image.Image, depth: int) -> None:
    """Give the transparent colour the 8 bits that Pillow gives the pixels; it has those of the file."""
    key = image.info.get("transparency")
    if isinstance(key, tuple):
        image.info["transparency"] = tuple(_to_8_bits(level, depth) for level in key)
    elif isinstance(key, int) and image.mode == "L":
        image.info["transparency"] = _to_8_bits(key, depth)


def _to_8_bits(level: int, depth: int) -> int:
    if depth == 16:
        return level >> 8
    most = (1 << depth) - 1
    return (level & most) * 255 // most


def _open_jpeg(raw: bytes, _: str) -> ImageFile:
    found = jpeg.read(raw)

    def decode() -> Image.Image:
        pixels, mode = found.decode(), JPEG_MODES[found.mode]
        return Image.frombuffer(mode, found.size, pixels, "raw", mode, 0, 1)

    return ImageFile(found.size, found.exif, decode)


def _open_with_pillow(raw: bytes, kind: str) -> ImageFile:
    image = attempt(Image.open, io.BytesIO(raw), formats=(kind,))
    if image is None:
        raise BrokenImage(BROKEN_HEADER)

    def decode() -> Image.Image:
        image.load()
        return image

    return ImageFile(image.size, image.info.get("exif", b""), decode)


_OPEN: dict[str, Callable[[bytes, str], ImageFile]] = {"PNG": _open_png, "JPEG": _open_jpeg}


def attempt(step: Callable[..., Made], *arguments: Any, **options: Any) -> Made | None:
    """Return what a decoder makes, None where it fails: decoders raise whatever they stumble over.

    What it raised is let go here, since its frames hold copies of the file.
    """
    try:
        return step(*arguments, **options)
    except Exception:  # noqa: BLE001
        return None


def is_large(raw: bytes, most_pixels: int) -> bool:
    """Say whether a file has more pixels; a file that is refused is not large, since that is quick."""
    try:
        open_image(raw, most_pixels)
    except ImageTooLarge:
        return True
    except ImageError:
        return False
    return False
