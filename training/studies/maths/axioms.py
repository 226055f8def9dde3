"""The axioms of a metric, put to drawn distributions over five places on the line."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from training.metrics.divergences import js_discrete, kl_discrete, rbf
from training.runtime.randomness import generator

PLACES = torch.arange(5, dtype=torch.float64)
TRIPLES = 500
ROUNDING = 12
"""Decimals kept; what is smaller is rounding."""

Distance = Callable[[Tensor, Tensor], float]


def distances() -> dict[str, Distance]:
    """Return each divergence of two probability vectors over the places 0 ... 4."""
    gram = rbf([1.0])(PLACES[:, None], PLACES[:, None])

    def squared_mmd(p: Tensor, q: Tensor) -> float:
        return max((p - q).dot(gram @ (p - q)).item(), 0.0)

    def js(p: Tensor, q: Tensor) -> float:
        return max(js_discrete(p, q).item(), 0.0)

    def linear_mmd(p: Tensor, q: Tensor) -> float:
        return abs((p - q).dot(PLACES).item())

    return {
        "KL": lambda p, q: kl_discrete(p, q).item(),
        "JS": js,
        "square root of JS": lambda p, q: math.sqrt(js(p, q)),
        "W1": lambda p, q: (p - q).cumsum(0).abs().sum().item(),
        "MMD²": squared_mmd,
        "MMD, Gaussian kernel": lambda p, q: math.sqrt(squared_mmd(p, q)),
        "MMD, linear kernel": linear_mmd,
    }


def triples() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return drawn triples of distributions over five places, and one that is known to be hard."""
    random = generator(0, "triples")
    drawn = torch.rand((TRIPLES, 3, len(PLACES)), generator=random, dtype=torch.float64).log().neg() ** 3
    ends, middle = torch.zeros(2, len(PLACES), dtype=torch.float64)
    ends[[0, -1]], middle[2] = 0.5, 1.0
    rows = [(p, q, r) for p, q, r in drawn / drawn.sum(2, keepdim=True)]
    return [*rows, (ends, (ends + middle) / 2, middle)]


def axioms(distance: Distance) -> tuple[float, float, float]:
    """Return the worst of three: |D(p, q) - D(q, p)|, D(p, r) - D(p, q) - D(q, r), the least D(p, q).

    p, q and r always differ. Infinite values are left out of the first two.
    """
    asymmetry = excess = 0.0
    least = math.inf
    for p, q, r in triples():
        there, back, on, all_the_way = distance(p, q), distance(q, p), distance(q, r), distance(p, r)
        if math.isfinite(there) and math.isfinite(back):
            asymmetry = max(asymmetry, abs(there - back))
        if math.isfinite(there) and math.isfinite(on):
            excess = max(excess, all_the_way - there - on)
        least = min(least, there, all_the_way)
    return round(asymmetry, ROUNDING), round(excess, ROUNDING), round(least, ROUNDING)
