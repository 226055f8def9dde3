"""How alike two sets of images are in their small pieces: a distance that needs no trained network.

It is what searches for a generator's settings go by, so that no metric that is reported later was tuned.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from training.metrics.divergences import sliced_wasserstein

SIDE = 7
"""Of a patch, in pixels."""
STRIDE = 4
DIRECTIONS = 64
SMALLEST = 14
"""Images are halved as long as half their side is at least this."""


def patch_distance(images: Tensor, others: Tensor, random: torch.Generator) -> float:
    """Return the sliced Wasserstein distance of the patches of two sets (Karras et al. 2018, section 5).

    Patches of 7x7 pixels are compared as they are; then those of the images at half the side, and so on,
    which see larger pieces. The mean over these scales, in units of root mean square per pixel.

    Args:
        images: (N, C, size, size) in [0, 1].
        others: as many of the same kind.
        random: draws the directions.
    """
    distances = []
    while True:
        pieces, other_pieces = _patches(images), _patches(others)
        distances.append(float(sliced_wasserstein(pieces, other_pieces, DIRECTIONS, random)))
        if images.shape[-1] // 2 < SMALLEST:
            return sum(distances) / len(distances)
        images, others = F.avg_pool2d(images, 2), F.avg_pool2d(others, 2)


def _patches(images: Tensor) -> Tensor:
    """Return every fourth patch either way, (N * patches, C * 49)."""
    columns = F.unfold(images, SIDE, stride=STRIDE)
    return columns.transpose(1, 2).flatten(0, 1)
