"""Packed latents, as FLUX hands them on: each row of numbers is a 2 x 2 patch of the latent.

(N, height/2 * width/2, 4 * channels) -> unpack -> (N, channels, height, width)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PATCH = 2


def shape(rows: tuple[int, int], height: int, width: int, stride: int) -> tuple[int, int, int] | None:
    """Return the shape of the latent that one image's rows are packed from; None if they are not.

    Args:
        rows: how many rows there are, and how many numbers each has.
        height: of the image in pixels; what does not fill a patch is left out.
        width: as `height`.
        stride: pixels per number of a latent.
    """
    count, numbers = rows
    down, across = height // (stride * PATCH), width // (stride * PATCH)
    if down < 1 or across < 1 or down * across != count or numbers % PATCH**2:
        return None
    return numbers // PATCH**2, down * PATCH, across * PATCH


def unpack(packed: NDArray[np.float32], latent: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return packed latents (N, rows, numbers) as (N, *latent)."""
    channels, height, width = latent
    patches = packed.reshape(-1, height // PATCH, width // PATCH, channels, PATCH, PATCH)
    return patches.transpose(0, 3, 1, 4, 2, 5).reshape(-1, *latent)
