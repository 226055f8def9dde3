"""How far apart two samples of latents are, with the probability of as much by chance: for /compare.

Every test is by permutation: rows change sides at random, the statistic is computed anew, and

    p = (1 + #{permuted >= observed}) / (1 + permutations).

The permutations are columns of one matrix (permutation_samples.py), and every statistic is arithmetic on
whole matrices. For N rows in all, D numbers each and P permutations: O(N² (D + P)) time and O(N (N + P))
memory. training/metrics/divergences.py computes the same in torch; a test compares the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.comparison.permutation_samples import Floats, Membership, Samples
from service.latent_space.sampling import normal

BANDWIDTHS = (0.5, 1.0, 2.0)
"""Of the Gaussian kernels, as multiples of the median distance between rows."""
NEIGHBOURS = 5
"""The k of the nearest-neighbour estimates; fewer where a sample is smaller."""
DIRECTIONS = 64
"""Projections of the sliced Wasserstein distance."""
SMALLEST_DISTANCE = 1e-6
"""Of the median: smaller ones count as that, or one row given twice would make a logarithm infinite."""
TIE = 1e-6
"""Statistics this close, relative to the observed one, are equal: sums round, counts must not."""
SIGNIFICANCE = 0.05
"""The p-value below which samples count as different, for the power."""
DIRECTION_STREAM = 5
"""Of raw Philox, as in sampling.py and permutation_samples.py."""


@dataclass(frozen=True)
class Estimate:
    """A divergence of two samples and its p-value under "both come from one distribution"."""

    value: float
    p_value: float


@dataclass(frozen=True)
class Detection(Estimate):
    """An estimate that also says how well it tells such samples apart."""

    power: float
    """The probability of p < 0.05 for two samples as large, were the truth what was estimated."""


def mmd(samples: Samples) -> Detection:
    """Estimate the squared maximum mean discrepancy of rows (n, D) and (m, D) without bias.

    Gretton et al. 2012, equation 3, with the sum of Gaussian kernels exp(-|x - y|² / (2 sigma²)), sigma =
    {0.5, 1, 2} x the median distance between pooled rows. Negative about half the time where the
    distributions are equal.

    The power is that of a normal around the estimate (Sutherland et al. 2017, section 2) beyond the 95%
    quantile of the permutations; its variance is 4 Var(h_a) / n + 4 Var(h_b) / m, with h_a(x) = mean k(x, a)
    - mean k(x, b) of a row x of a.
    """
    n, m = samples.sizes
    halved = samples.squares / (2 * samples.median_square)
    gram: Floats = np.sum([np.exp(-halved / factor**2) for factor in BANDWIDTHS], axis=0)
    np.fill_diagonal(gram, 0)
    first = samples.membership.astype(np.float64)
    within_a = np.einsum("ip,ip->p", first, gram @ first)
    all_of_a = gram.sum(axis=0) @ first
    within_b = gram.sum() - 2 * all_of_a + within_a
    between = all_of_a - within_a
    found = within_a / (n * (n - 1)) + within_b / (m * (m - 1)) - 2 * between / (n * m)
    estimate = _test(found)
    threshold = float(np.quantile(found, 1 - SIGNIFICANCE))
    spread = _mmd_deviation(gram, samples.membership[:, 0] == 1)
    return Detection(estimate.value, estimate.p_value, _normal_tail(threshold - estimate.value, spread))


def _mmd_deviation(gram: Floats, first: NDArray[np.bool_]) -> float:
    """Return the standard deviation of MMD² where the samples differ; `gram` has zeros on its diagonal."""
    n, m = np.count_nonzero(first), np.count_nonzero(~first)
    to_a, to_b = gram[:, first].sum(axis=1), gram[:, ~first].sum(axis=1)
    of_a = to_a[first] / (n - 1) - to_b[first] / m
    of_b = to_b[~first] / (m - 1) - to_a[~first] / n
    return math.sqrt(4 * of_a.var() / n + 4 * of_b.var() / m)


def _normal_tail(distance: float, deviation: float) -> float:
    """Return the probability that a normal number of this deviation is larger than its mean by `distance`."""
    return math.erfc(distance / (max(deviation, 1e-300) * math.sqrt(2))) / 2


def wasserstein(samples: Samples) -> Estimate:
    """Estimate the Wasserstein-1 distance: exact for D = 1, else sliced, which is another, smaller number.

    Sliced: the mean of the exact distance along `DIRECTIONS` random directions of the seed (Bonneel et al.
    2015). Moving one sample by a vector v adds about |v| sqrt(2 / (pi D)) to it, not |v|.
    """
    projections = samples.rows @ _directions(samples.rows.shape[1], samples.seed)
    distances = [_distances_on_the_line(projection, samples.membership) for projection in projections.T]
    return _test(np.mean(distances, axis=0))


def kl(samples: Samples) -> Estimate:
    """Estimate KL(a || b) in nats from distances to near neighbours (Wang, Kulkarni & Verdu 2009).

    D mean over a of log(distance to the l-th of b / distance to the k-th other of a) + psi(k) - psi(l) +
    log(m / (n - 1)), with k and l in the proportion of the sizes so that both reach about as far.

    Needs densities: rows that are equal break it. Consistent, but far too small where the truth is many nats,
    and finite (it grows as log n) where the truth is infinite.
    """
    (n, m), sides, order = samples.sizes, samples.membership, samples.neighbours
    k, other_k = _neighbour_counts(n, m)
    floor = SMALLEST_DISTANCE**2 * samples.median_square
    logarithms = np.log(np.maximum(np.take_along_axis(samples.squares, order, axis=1), floor)) / 2
    own = np.take_along_axis(logarithms, _rank_of_kth(order, sides, (k, other_k), own=True), axis=1)
    other = np.take_along_axis(logarithms, _rank_of_kth(order, sides, (other_k, k), own=False), axis=1)
    ratios: Floats = ((other - own) * sides).sum(axis=0) / n
    offset = _digamma(np.array(k)) - _digamma(np.array(other_k)) + np.log(m / (n - 1))
    return _test(samples.rows.shape[1] * ratios + offset)


def js(samples: Samples) -> Estimate:
    """Estimate the Jensen-Shannon divergence in nats from the sides that near neighbours are of.

    It is the information that a row of an even mixture gives about its side, and Ross (2014, PLoS ONE 9(2))
    estimates that: log 2 + mean of psi(k) - psi(j), the k-th neighbour of a row's own side being its j-th
    of all. For samples of two sizes j becomes k + r (j - k), r = (own size - 1) / other size, and k is in
    proportion to the size; that step is ours.

    Zero on average where the distributions are equal, so it may be negative; at most log 2, and close to it
    where the samples do not touch. Too small where densities change within the reach of k neighbours, which
    is far in many dimensions and small samples.
    """
    (n, m), sides = samples.sizes, samples.membership
    k, other_k = _neighbour_counts(n, m)
    ranks = _rank_of_kth(samples.neighbours, sides, (k, other_k), own=True)
    gains_a, gains_b = _gains(k, (n - 1) / m, n + m), _gains(other_k, (m - 1) / n, n + m)
    of_a, of_b = gains_a[ranks] * sides, gains_b[ranks] * (1 - sides)
    return _test(of_a.sum(axis=0) / n / 2 + of_b.sum(axis=0) / m / 2)


def _gains(k: int, ratio: float, count: int) -> Floats:
    """Return log 2 + psi(k) - psi(k + ratio (j - k)) at place j - 1, for j = 1 ... count."""
    strangers = np.maximum(np.arange(1, count + 1) - k, 0)
    gains: Floats = np.log(2) + _digamma(np.array(k)) - _digamma(k + ratio * strangers)
    return gains


def _neighbour_counts(n: int, m: int) -> tuple[int, int]:
    """Return k for samples of n and m rows: `NEIGHBOURS` in the smaller one, in the larger in proportion."""
    smaller = min(n, m)
    k = min(NEIGHBOURS, smaller - 1)
    return round(k * n / smaller), round(k * m / smaller)


def _test(statistics: Floats) -> Estimate:
    """Return the observed statistic, the first, and how rare it is among them all."""
    observed, permuted = float(statistics[0]), statistics[1:]
    as_large = np.count_nonzero(permuted >= observed - TIE * abs(observed))
    return Estimate(observed, float((1 + as_large) / (1 + len(permuted))))


def _rank_of_kth(
    order: NDArray[np.int64], sides: Membership, counts: tuple[int, int], *, own: bool
) -> NDArray[np.int64]:
    """Return at which place of `order`, from 0, each row has its k-th neighbour of its own or the other side.

    (N, 1 + permutations); `counts` are the k for rows of the first sample and of the second.
    """
    k = np.where(sides == 1, *np.array(counts, np.uint16))
    seen = np.zeros(sides.shape, np.uint16)
    rank = np.zeros(sides.shape, np.uint16)
    for place in order.T:
        seen += (sides[place] == sides) == own
        missing = seen < k
        if not missing.any():
            break
        rank += missing
    return rank.astype(np.int64)


def _directions(dimensions: int, seed: int) -> Floats:
    """Return unit columns, (D, DIRECTIONS); on the line the only one there is."""
    if dimensions == 1:
        return np.ones((1, 1))
    drawn = (
        normal([seed], DIRECTION_STREAM, dimensions * DIRECTIONS).reshape(dimensions, -1).astype(np.float64)
    )
    drawn /= np.linalg.norm(drawn, axis=0)
    return drawn


def _distances_on_the_line(values: Floats, sides: Membership) -> Floats:
    """Return, per column of `sides`, the area between the two distribution functions of values (N,)."""
    n = int(sides[:, 0].sum())
    m = len(sides) - n
    order = values.argsort()
    seen = sides[order[:-1]].cumsum(axis=0, dtype=np.float32)
    # n m (F_a - F_b) after the i-th value, with `seen` rows of the first sample among those i.
    seen *= n + m
    seen -= n * np.arange(1, len(values), dtype=np.float32)[:, None]
    areas: Floats = (np.diff(values[order]).astype(np.float32) @ np.abs(seen, out=seen)).astype(np.float64)
    areas /= n * m
    return areas


def _digamma(x: Floats) -> Floats:
    """Return psi(x) for x > 0: psi(x) = psi(x + 1) - 1/x up to x > 6, then its asymptotic series."""
    shift = np.zeros_like(x, dtype=np.float64)
    x = np.asarray(x, np.float64) + shift
    for _ in range(6):
        shift -= 1 / x
        x = x + 1
    square = 1 / (x * x)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    result: Floats = shift + np.log(x) - 1 / (2 * x) - series
    return result
