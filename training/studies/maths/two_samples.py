"""What two samples show of a divergence where no density is known: estimates, and p-values by permutation.

The studies use it; service/comparison/divergences.py does the same in NumPy, faster, and a test compares the
two. No small maintained library estimates KL and JS by neighbours with p-values, which is what the studies
are about.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Statistic = Callable[[Tensor, Tensor], float]


def kl_neighbours(a: Tensor, b: Tensor, k: int = 5) -> float:
    """Estimate KL in nats from rows (N, D), (M, D) by distances to the k-th neighbour (Wang et al. 2009)."""
    n, m = len(a), len(b)
    own = torch.cdist(a, a).kthvalue(k + 1).values  # the nearest of all is the row itself
    other = torch.cdist(a, b).kthvalue(k).values
    return float(a.shape[1] * (other / own).log().mean() + math.log(m / (n - 1)))


def js_neighbours(a: Tensor, b: Tensor, k: int = 5) -> float:
    """Estimate the Jensen-Shannon divergence in nats of two samples of one size (Ross 2014).

    log 2 + mean of psi(k) - psi(k + r s): s rows of the other sample lie nearer than the k-th of one's own,
    r = (N - 1) / N as a row is no neighbour of itself.
    """
    strangers = torch.cat([_strangers(a, b, k), _strangers(b, a, k)]).double()
    weight = (len(a) - 1) / len(a)
    gains = torch.digamma(torch.tensor(k, dtype=torch.float64)) - torch.digamma(k + weight * strangers)
    return float(math.log(2) + gains.mean())


def kl_histogram(a: Tensor, b: Tensor, width: float) -> float:
    """Estimate KL in nats of two samples of one size from counts in cells `width` wide, half a row added.

    The cells are those of the cube that holds both samples. Those that neither reaches add nothing.
    """
    low, high = torch.cat([a, b]).min(0).values, torch.cat([a, b]).max(0).values
    cells = float(((high - low) / width).floor().add(1).double().prod())
    occupied, place = (torch.cat([a, b]) - low).div(width).long().unique(dim=0, return_inverse=True)
    first = torch.bincount(place[: len(a)], minlength=len(occupied)) + 0.5
    second = torch.bincount(place[len(a) :], minlength=len(occupied)) + 0.5
    return float((first / (len(a) + cells / 2) * (first / second).log()).sum())


def permutation_test(
    statistic: Statistic, a: Tensor, b: Tensor, permutations: int, random: torch.Generator
) -> tuple[float, float]:
    """Return the statistic and p = (1 + #{permuted >= observed}) / (1 + permutations)."""
    pooled, observed = torch.cat([a, b]), statistic(a, b)
    as_large = 0
    for _ in range(permutations):
        order = torch.randperm(len(pooled), generator=random)
        as_large += statistic(pooled[order[: len(a)]], pooled[order[len(a) :]]) >= observed
    return observed, (1 + as_large) / (1 + permutations)


def mmd_permutation_test(
    gram: Tensor, count: int, permutations: int, random: torch.Generator
) -> tuple[float, float]:
    """Return the unbiased squared MMD and its p-value from the Gram matrix (N, N) of the pooled samples.

    The first `count` rows are the first sample. All permutations are one matrix product.
    """
    total, other = len(gram), len(gram) - count
    gram = gram - torch.diag(gram.diagonal())
    orders = [torch.randperm(total, generator=random) for _ in range(permutations)]
    sides = torch.stack([order < count for order in [torch.arange(total), *orders]], 1).to(gram)
    within = (sides * (gram @ sides)).sum(0)
    touching = gram.sum(0) @ sides
    rest = gram.sum() - 2 * touching + within
    between = (touching - within) / (count * other)
    statistics = within / (count * (count - 1)) + rest / (other * (other - 1)) - 2 * between
    as_large = int((statistics[1:] >= statistics[0]).sum())
    return float(statistics[0]), (1 + as_large) / (1 + permutations)


def _strangers(own: Tensor, other: Tensor, k: int) -> Tensor:
    """Count, for each row of `own`, the rows of `other` nearer than its k-th neighbour of its own, (N,)."""
    reach = torch.cdist(own, own).kthvalue(k + 1).values
    return (torch.cdist(own, other) < reach[:, None]).sum(1)
