"""Sample sheets: images of what a model does, never of chosen samples.

Images are (N, C, size, size) in [0, 1].
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.data.datasets import Dataset, to_range, to_unit
from training.data.domain_pairs import DomainPair
from training.evaluation.evaluate import Operations, reconstruct
from training.recipes.base import Recipe
from training.runtime.chunks import batched
from training.runtime.randomness import generator

SHEET_IMAGES = 64
COLUMNS = 8
WIDE_COLUMNS = 6
ENLARGED_TO = 56
"""Small images are enlarged by whole factors to at least this many pixels."""


def sheet(recipe: Recipe, data: Dataset | DomainPair) -> Image.Image:
    """Return the sheet that fits what the recipe offers, from 64 fixed draws or the first test images."""
    operations, value_range = recipe.operations(), recipe.value_range
    if isinstance(data, DomainPair):
        return grid(translations(operations, value_range, data), WIDE_COLUMNS)
    images = recipe.sheet_images(data)
    if images is not None:
        return grid(images, WIDE_COLUMNS)
    if "generate" in operations:
        latents = recipe.draw(SHEET_IMAGES, generator(0, "sheet"))
        labels = torch.arange(SHEET_IMAGES) % COLUMNS % len(data.classes)
        inputs = [latents, labels] if recipe.conditional else [latents]
        samples = batched(operations["generate"], *(part.to(recipe.device) for part in inputs))
        samples = to_unit(samples, value_range).cpu()
        return grid(samples, COLUMNS)
    return grid(reconstructions(operations, value_range, data), COLUMNS)


def translations(operations: Operations, value_range: tuple[float, float], pair: DomainPair) -> Tensor:
    """Return input, translation and way back for the first 16 test images of either domain."""
    triples = []
    for side in (0, 1):
        there, back = (operations[f"translate.{pair.domains[to]}"] for to in (1 - side, side))
        device = next(there.parameters()).device
        inputs = to_range(pair.test[side][:16].to(device), value_range)
        outputs = batched(there, inputs)
        triples.append(torch.stack([inputs, outputs, batched(back, outputs)], dim=1))
    count = min(len(rows) for rows in triples)
    both = torch.stack([rows[:count] for rows in triples], dim=1)
    return to_unit(both.flatten(0, 2), value_range).cpu()


def reconstructions(operations: Operations, value_range: tuple[float, float], dataset: Dataset) -> Tensor:
    """Return the first 32 test images, each followed by its reconstruction."""
    device = next(operations["decode"].parameters()).device
    inputs = to_range(dataset.test.pixels[: SHEET_IMAGES // 2].to(device), value_range)
    pairs = torch.stack([inputs, reconstruct(operations, inputs)], dim=1)
    return to_unit(pairs.flatten(0, 1), value_range).cpu()


def grid(images: Tensor, columns: int) -> Image.Image:
    """Lay images out in rows of `columns`, enlarged by a whole factor if they are small."""
    count, channels, height, width = images.shape
    rows = math.ceil(count / columns)
    canvas = np.zeros((rows * height, columns * width, channels), np.uint8)
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for index, image in enumerate(pixels):
        top, left = index // columns * height, index % columns * width
        canvas[top : top + height, left : left + width] = image
    image = Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
    factor = max(1, math.ceil(ENLARGED_TO / height))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def png_file(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
