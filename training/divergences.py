"""Divergences between distributions as differentiable functions: tensors in, one scalar out.

Samples are (N, D) rows. `service/divergences.py` estimates the same numbers in NumPy, with p-values; a test
compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Takes (N, D) and (M, D) rows and gives their Gram matrix (N, M)."""


def rbf(bandwidths: Sequence[float]) -> Kernel:
    """Return the kernel that sums exp(-|x - y|² / (2 sigma²)) over the bandwidths sigma."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        squares = squared_distances(x, y)
        return torch.stack([torch.exp(-squares / (2 * sigma**2)) for sigma in bandwidths]).sum(0)

    return kernel


def inverse_multiquadric(scales: Sequence[float]) -> Kernel:
    """Return the kernel that sums C / (C + |x - y|²) over C = 2 D scale (Tolstikhin et al. 2018, section 4).

    2 D is the mean squared distance of two draws from N(0, I), the prior whose codes it compares.
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        squares = squared_distances(x, y)
        constants = [2 * x.shape[1] * scale for scale in scales]
        return torch.stack([constant / (constant + squares) for constant in constants]).sum(0)

    return kernel


def linear(x: Tensor, y: Tensor) -> Tensor:
    """Return x · y: the kernel that sees means and nothing else."""
    return x @ y.T


def mmd(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    """Return the squared maximum mean discrepancy, unbiased (Gretton et al. 2012, equation 3).

    It is zero on average where the distributions are equal, so it may be negative. Needs two rows of each.
    """
    within = _off_diagonal_mean(kernel(a, a)) + _off_diagonal_mean(kernel(b, b))
    return within - 2 * kernel(a, b).mean()


def biased_mmd(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    """Return the squared maximum mean discrepancy of the two samples themselves (ibid., equation 5).

    Never negative, and above zero by about 2/N of the kernel's height where the distributions are equal.
    """
    return kernel(a, a).mean() + kernel(b, b).mean() - 2 * kernel(a, b).mean()


def median_distance(a: Tensor, b: Tensor) -> float:
    """Return the median distance between two different rows of both samples: the usual bandwidth."""
    pooled = torch.cat([a, b]).detach()
    return torch.pdist(pooled).quantile(0.5).item()


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return |x - y|² of all pairs, (N, M)."""
    # |x|² + |y|² - 2xy loses digits far from the origin, so both move there first; distances do not change.
    centre = x.detach().mean(0)
    x, y = x - centre, y - centre
    squares = x.square().sum(1)[:, None] + y.square().sum(1)[None, :] - 2 * x @ y.T
    return squares.clamp_min(0)


def _off_diagonal_mean(gram: Tensor) -> Tensor:
    count = len(gram)
    return (gram.sum() - gram.diagonal().sum()) / (count * (count - 1))
