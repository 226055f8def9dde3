"""Two uniform segments on the line, one moved along it: what each divergence is, and how it changes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from training.metrics.divergences import (
    biased_mmd,
    js_densities,
    kl_densities,
    median_distance,
    rbf,
    wasserstein_1d,
)

STEP = 0.05
"""Half the distance over which the derivative of JS is measured."""
ROUNDING = 12
"""Decimals kept of a derivative; what is smaller is rounding."""


def segment() -> Tensor:
    """Return 400 evenly spread rows for the uniform distribution on [0, 1], (400, 1)."""
    return ((torch.arange(400, dtype=torch.float64) + 0.5) / 400)[:, None]


def segments(shift: float) -> dict[str, tuple[float, float]]:
    """Return each divergence of U[0, 1] and U[shift, shift + 1] with its derivative by the shift."""

    def log_density(start: float) -> Callable[[Tensor], Tensor]:
        return lambda rows: torch.where(
            ((rows - start).abs() <= 1)[:, 0] & (rows >= start)[:, 0], 0.0, -math.inf
        )

    def js(at: float) -> float:
        return js_densities(segment(), segment() + at, log_density(0.0), log_density(at)).item()

    kl = kl_densities(segment(), log_density(0.0), log_density(shift)).item()
    # Where a segment ends is not seen by automatic differentiation of an average over fixed rows.
    found = {"KL": (kl, math.nan), "JS": (js(shift), (js(shift + STEP) - js(shift - STEP)) / (2 * STEP))}
    wide = median_distance(segment(), segment() + shift)
    statistics: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "W1": lambda a, b: wasserstein_1d(a[:, 0], b[:, 0]),
        "MMD², bandwidth 1": lambda a, b: biased_mmd(a, b, rbf([1.0])),
        "MMD², bandwidth median": lambda a, b: biased_mmd(a, b, rbf([wide])),
    }
    for name, statistic in statistics.items():
        moved = torch.tensor(shift, dtype=torch.float64, requires_grad=True)
        value = statistic(segment(), segment() + moved)
        (slope,) = torch.autograd.grad(value, moved)
        found[name] = (value.item(), round(slope.item(), ROUNDING) + 0.0)  # no -0
    return found
