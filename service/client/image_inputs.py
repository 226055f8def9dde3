"""Images as callers have them to what is sent, and what is received to arrays and Pillow images."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
ImageInput = str | os.PathLike[str] | Image.Image | NDArray[Any]
"""The path of a PNG, JPEG or WebP file, a Pillow image, or pixels: uint8, (H, W) or (H, W, C)."""
ImageInputs = ImageInput | Sequence[ImageInput]
"""One image or several; an array alone is several: (N, H, W) or (N, H, W, C)."""


def several(images: ImageInputs) -> Sequence[ImageInput]:
    """Return images one by one.

    Raises:
        ValueError: there are none, or the array may be one colour image as well as many grey ones.
    """
    found: Sequence[ImageInput]
    if isinstance(images, str | os.PathLike | Image.Image):
        found = [images]
    elif isinstance(images, np.ndarray):
        if images.ndim == 3 and images.shape[2] == 3:
            raise ValueError(
                f"an array {images.shape} is one colour image or {images.shape[0]} grey ones; "
                "pass [array] for one"
            )
        found = [images] if images.ndim == 2 else list(images)
    else:
        found = images
    if not len(found):
        raise ValueError("at least one image is needed")
    return found


def to_base64(image: ImageInput) -> str:
    """Return an image as JSON carries it; a file goes as it is, all else as PNG.

    Raises:
        OSError: the file cannot be read.
        TypeError: it is no image.
    """
    if isinstance(image, str | os.PathLike):
        return base64.b64encode(Path(image).read_bytes()).decode()
    if isinstance(image, np.ndarray):
        image = _from_pixels(image)
    if not isinstance(image, Image.Image):
        raise TypeError(f"an image is a path, a Pillow image or an array, not {type(image).__name__}")
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode()


def _from_pixels(pixels: NDArray[Any]) -> Image.Image:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise TypeError(
            f"an array is an image if it is uint8, (H, W) or (H, W, C) with C 1, 3 or 4; "
            f"this is {pixels.dtype} {pixels.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def from_base64(texts: Iterable[str]) -> Pixels:
    """Return images of an answer as pixels, (N, H, W) or (N, H, W, 3)."""
    return np.stack([np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in texts])


def to_pil(pixels: Pixels) -> list[Image.Image]:
    """Return pixels, (N, H, W) or (N, H, W, 3), as Pillow images."""
    return [Image.fromarray(one) for one in pixels]
