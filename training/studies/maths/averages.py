"""Sums and averages of noise: where the central limit theorem holds, and estimates that need no mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Numbers = NDArray[np.float64]
Estimate = Callable[[Numbers], float]
Draw = Callable[[np.random.Generator, int], Numbers]
"""Draw that many numbers of one law."""


def mean(sample: Numbers) -> float:
    return float(sample.mean())


def median(sample: Numbers) -> float:
    return float(np.median(sample))


def trimmed_mean(sample: Numbers, share: float = 0.1) -> float:
    """Return the mean without the lowest and the highest `share` of the sample."""
    cut = int(share * len(sample))
    return float(np.partition(sample, (cut, len(sample) - cut - 1))[cut : len(sample) - cut].mean())


def huber_location(sample: Numbers, delta: float = 1.0, steps: int = 8) -> float:
    """Return the centre of least Huber loss (Huber 1964), by Newton's steps from the median."""
    centre = median(sample)
    for _ in range(steps):
        residual = sample - centre
        inside = float((np.abs(residual) < delta).mean())
        centre += float(np.clip(residual, -delta, delta).mean()) / inside
    return centre


DRAWS: dict[str, Draw] = {
    "gaussian": lambda random, count: random.standard_normal(count),
    "uniform": lambda random, count: random.uniform(-math.sqrt(3), math.sqrt(3), count),
    "laplace": lambda random, count: random.laplace(scale=1 / math.sqrt(2), size=count),
    "exponential": lambda random, count: random.standard_exponential(count) - 1,
    "cauchy": lambda random, count: random.standard_cauchy(count),
}
"""Mean 0 and deviation 1, but for the Cauchy law, which has neither: median 0, quartiles -1 and 1."""


def spread(draw: Draw, estimates: dict[str, Estimate], count: int, seeds: int) -> dict[str, float]:
    """Return half the distance between the quartiles of each estimate over samples of `count` numbers."""
    values = {name: np.empty(seeds) for name in estimates}
    for seed in range(seeds):
        sample = draw(np.random.default_rng((seed, count)), count)
        for name, estimate in estimates.items():
            values[name][seed] = estimate(sample)
    return {name: float(np.subtract(*np.quantile(got, (0.75, 0.25))) / 2) for name, got in values.items()}


def running_means(draw: Draw, count: int, seed: int) -> Numbers:
    """Return the mean of the first n numbers for n = 1..count."""
    return draw(np.random.default_rng(seed), count).cumsum() / np.arange(1, count + 1)


@dataclass(frozen=True)
class Sum:
    """A sum of terms, scaled to what a Gaussian of deviation 1 would match."""

    scaled: Callable[[np.random.Generator, int, int], Numbers]
    """(random, terms, count) -> that many sums."""
    has_moments: bool = True


def sum_of(draw: Draw) -> Callable[[np.random.Generator, int, int], Numbers]:
    """Return what draws sums of independent terms of one law, divided by the root of their number."""

    def scaled(random: np.random.Generator, terms: int, count: int) -> Numbers:
        return total(draw, random, terms, count) / math.sqrt(terms)

    return scaled


def total(draw: Draw, random: np.random.Generator, terms: int, count: int) -> Numbers:
    """Return `count` sums of `terms` numbers each."""
    result = np.zeros(count)
    for _ in range(terms):
        result += draw(random, count)
    return result


def cauchy_sum(random: np.random.Generator, terms: int, count: int) -> Numbers:
    """Return Cauchy sums, scaled so that the quartiles are a standard Gaussian's."""
    return total(DRAWS["cauchy"], random, terms, count) / terms * stats.norm.ppf(0.75)


def dependent_sum(random: np.random.Generator, terms: int, count: int) -> Numbers:
    """Return sums of Gaussian terms whose deviation, 0.5 or 1.323, is drawn once and shared by all."""
    shared = np.where(random.random(count) < 0.5, 0.5, math.sqrt(2 - 0.25))
    return shared * total(DRAWS["gaussian"], random, terms, count) / math.sqrt(terms)


def dominated_sum(random: np.random.Generator, terms: int, count: int) -> Numbers:
    """Return sums of a uniform term with nine tenths of the variance and `terms` - 1 that share the rest."""
    first = DRAWS["uniform"](random, count)
    if terms == 1:
        return first
    rest = total(DRAWS["uniform"], random, terms - 1, count) / math.sqrt(terms - 1)
    return math.sqrt(0.9) * first + math.sqrt(0.1) * rest


SUMS: dict[str, Sum] = {
    "uniform": Sum(sum_of(DRAWS["uniform"])),
    "laplace": Sum(sum_of(DRAWS["laplace"])),
    "exponential (skewed)": Sum(sum_of(DRAWS["exponential"])),
    "one term dominates": Sum(dominated_sum),
    "terms share their deviation": Sum(dependent_sum),
    "cauchy": Sum(cauchy_sum, has_moments=False),
}


def distance_to_gaussian(sample: Numbers) -> float:
    """Return the Kolmogorov-Smirnov distance to N(0, 1)."""
    ordered = special.ndtr(np.sort(sample))
    steps = np.arange(len(sample) + 1) / len(sample)
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))


def excess_kurtosis(sample: Numbers) -> float:
    """Return E[x^4] / E[x²]² - 3 of numbers with mean 0; 0 for a Gaussian."""
    squared = np.square(sample)
    return float(np.square(squared).mean() / squared.mean() ** 2 - 3)
