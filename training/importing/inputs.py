"""What imported networks are tried on: real images, and numbers at random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from training.data.image_folder import SUFFIXES, open_upright
from training.importing.source import LatentFormat, Range, SourceError
from training.runtime.randomness import generator

SMALLEST_CROP = 128
"""Pixels of the side of a part of a photograph, at least."""


def real_images(folder: Path | None, count: int, channels: int, size: tuple[int, int]) -> Tensor:
    """Return real images, uint8 (N, channels, height, width), cut to the aspect ratio of `size`.

    They are those of a folder and of what lies below it, `count` at most, or else `count` parts of the two
    photographs that come with scikit-learn.

    Raises:
        SourceError: the folder holds no readable image.
    """
    images = _parts_of_photographs(count) if folder is None else _images(folder, count)
    height, width = size
    rows = []
    for original in images:
        image = original.convert("L" if channels == 1 else "RGB")
        shrinks = image.width >= width and image.height >= height
        method = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
        pixels = np.asarray(ImageOps.fit(image, (width, height), method))
        rows.append(torch.from_numpy(pixels.reshape(height, width, channels).copy()).permute(2, 0, 1))
    return torch.stack(rows)


def check_images(folder: Path | None) -> None:
    """Refuse a folder without images, none of which is read.

    Raises:
        SourceError: there is none.
    """
    if folder is not None and not _files(folder):
        raise _no_images(folder)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _no_images(folder: Path) -> SourceError:
    return SourceError(f"--images {folder}: there is no readable image ({', '.join(SUFFIXES)})")


def _images(folder: Path, count: int) -> Sequence[Image.Image]:
    found = []
    for path in _files(folder):
        image = open_upright(path)
        if image is None:
            continue
        found.append(image.convert("RGB"))
        if len(found) == count:
            break
    if not found:
        raise _no_images(folder)
    return found


def _parts_of_photographs(count: int) -> Sequence[Image.Image]:
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    random = np.random.default_rng(0)
    parts = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        side = int(random.integers(SMALLEST_CROP, min(photograph.size)))
        left, top = (int(random.integers(0, length - side + 1)) for length in photograph.size)
        parts.append(photograph.crop((left, top, left + side, top + side)))
    return parts


def random_images(count: int, shape: Sequence[int], value_range: Range) -> Tensor:
    """Return images of independent uniform numbers in `value_range`, (N, *shape)."""
    low, high = value_range
    return torch.rand(count, *shape, generator=generator(0, "import images")) * (high - low) + low


def random_latents(count: int, shape: Sequence[int], latent: LatentFormat) -> Tensor:
    """Return latents from N(0, I), (N, *shape), as far out as the autoencoder's own."""
    z = torch.randn(count, *shape, generator=generator(0, "import latents"))
    return z / latent.scaling_factor + latent.shift_factor
