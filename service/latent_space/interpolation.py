"""Ways through latent space, from stop to stop.

routes/interpolate -> walk -> decode or generate
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Path = Literal["slerp", "linear"]
Latents = NDArray[np.float32]

STRAIGHT = 1e-4
"""Below this sine of the angle between two stops, there is no one great circle through them."""


def walk(stops: Latents, steps: int, path: Path) -> Latents:
    """Return `steps` latents, (steps, D), evenly spaced from the first of `stops`, (S, D), to the last.

    Between neighbouring stops the way is straight, or follows a great circle while the length changes
    linearly (Shoemake 1985): draws from N(0, I) lie near a sphere, and the straight way leads through its
    inside, where no draw ever is. One step is the first stop.
    """
    start, t = places(len(stops), steps)
    a, b = stops[start], stops[np.minimum(start + 1, len(stops) - 1)]
    way = _spherical if path == "slerp" else _linear
    walked: Latents = way(a.astype(np.float64), b.astype(np.float64), t[:, None]).astype(np.float32)
    return walked


def places(stops: int, steps: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return, per step, the stop behind it and how far it is on the way to the next one, from 0 to 1."""
    along = np.linspace(0, stops - 1, steps)
    start = np.minimum(along.astype(np.int64), max(stops - 2, 0))
    return start, along - start


def nearest(stops: int, steps: int) -> NDArray[np.int64]:
    """Return the stop that each step is nearest to; in the middle between two the later one."""
    start, t = places(stops, steps)
    return start + (t >= 0.5)


def _linear(a: NDArray[np.float64], b: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    return a + t * (b - a)


def _spherical(a: NDArray[np.float64], b: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    length_a, length_b = (np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
    u, v = a / np.maximum(length_a, 1e-12), b / np.maximum(length_b, 1e-12)
    angle = np.arccos(np.clip((u * v).sum(axis=1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    around = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.maximum(sine, 1e-12)
    curved = (sine > STRAIGHT) & (length_a > 0) & (length_b > 0)
    return np.where(curved, _linear(length_a, length_b, t) * around, _linear(a, b, t))
