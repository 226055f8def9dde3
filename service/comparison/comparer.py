"""How far apart two sets of images are, by their latents: the four divergences, one comparison at a time.

routes/compare -> Comparer.run -> a thread -> Samples -> divergences
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from service.checkpoint.reference import Reference
from service.comparison import divergences
from service.comparison.permutation_samples import Samples
from service.errors import QueueFull
from service.runtime.cpu import lower_priority

MAX_WAITING = 4
"""Comparisons that wait for the one that runs; each takes a second or so."""

REFERENCE_ROWS = 500
"""Of a checkpoint's reference; time grows with the square of the rows."""

PERMUTATIONS = 1000

DIVERGENCES = ("mmd", "kl", "js", "wasserstein")
NUMBERS = (*DIVERGENCES, *(f"{name}_p" for name in DIVERGENCES), "mmd_power")
"""What a comparison gives."""

Floats = NDArray[np.float32]


class Comparer:
    """Computes in a thread of its own, behind everything else that is asked of the process."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "comparison", lower_priority)
        self._open = 0

    async def run(self, a: Floats, b: Floats) -> dict[str, float]:
        """Return what the docs say of /compare for latents (n, D) and (m, D), n and m >= 2.

        Raises:
            QueueFull: others wait already.
        """
        if self._open > MAX_WAITING:
            raise QueueFull("Other comparisons are waiting already.", headers={"Retry-After": "2"})
        self._open += 1
        work = asyncio.get_running_loop().run_in_executor(self._pool, compare, a, b)
        work.add_done_callback(self._done)
        return await work

    def _done(self, _: asyncio.Future[dict[str, float]]) -> None:
        self._open -= 1

    def stop(self) -> None:
        """Let what runs finish and forget what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def sample(reference: Reference) -> Floats:
    """Return latents of the reference, spread evenly over it, (at most `REFERENCE_ROWS`, D)."""
    rows = np.linspace(0, len(reference.latents) - 1, min(REFERENCE_ROWS, len(reference.latents)))
    chosen: Floats = reference.latents[rows.astype(np.int64)]
    return chosen


def compare(a: Floats, b: Floats) -> dict[str, float]:
    """Return the four divergences of two samples of latents, each with its p-value, and the power of MMD."""
    samples = Samples(a, b, PERMUTATIONS)
    detection = divergences.mmd(samples)
    found = {"mmd": detection.value, "mmd_p": detection.p_value, "mmd_power": detection.power}
    others = {"kl": divergences.kl, "js": divergences.js, "wasserstein": divergences.wasserstein}
    for name, estimate in others.items():
        one = estimate(samples)
        found |= {name: one.value, f"{name}_p": one.p_value}
    return found
