"""Divergences between distributions as differentiable functions: tensors in, one scalar out.

Samples are (N, D) rows. `service/comparison/divergences.py` estimates the same numbers in NumPy, with
p-values; a test compares the two. What libraries have is theirs: transport plans are POT's, and KL of
Gaussians is in torch.distributions. The rest is written here, since no maintained library has it with
gradients in torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]
"""Takes (N, D) rows and gives the logarithm of a density at each, (N,)."""
Kernel = Callable[[Tensor, Tensor], Tensor]
"""Takes (N, D) and (M, D) rows and gives their Gram matrix (N, M)."""
MAX_ITERATIONS = 10_000_000
"""Steps of the transport solver before it gives up with a warning; some thousand rows take fewer."""


def kl_discrete(p: Tensor, q: Tensor) -> Tensor:
    """Return KL(p || q) in nats of two probability vectors (D,); infinite where q misses what p has."""
    seen = p > 0
    # Probabilities of zero are replaced before the logarithm: masked after it, their gradient would be NaN.
    return (p * (torch.where(seen, p, 1).log() - torch.where(seen, q, 1).log())).sum()


def js_discrete(p: Tensor, q: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence in nats of two probability vectors (D,), at most log 2."""
    mixture = (p + q) / 2
    return (kl_discrete(p, mixture) + kl_discrete(q, mixture)) / 2


def kl_densities(x: Tensor, log_p: LogDensity, log_q: LogDensity) -> Tensor:
    """Estimate KL(p || q) in nats from rows x drawn from p (Monte Carlo, unbiased)."""
    return (log_p(x) - log_q(x)).mean()


def js_densities(x: Tensor, y: Tensor, log_p: LogDensity, log_q: LogDensity) -> Tensor:
    """Estimate the Jensen-Shannon divergence in nats from rows x of p and y of q (Monte Carlo, unbiased).

    Gaussians have no closed form for it.
    """

    def log_mixture(rows: Tensor) -> Tensor:
        return torch.logaddexp(log_p(rows), log_q(rows)) - math.log(2)

    return (kl_densities(x, log_p, log_mixture) + kl_densities(y, log_q, log_mixture)) / 2


def wasserstein_1d(a: Tensor, b: Tensor, order: int = 1) -> Tensor:
    """Return the exact Wasserstein distance of samples (N,) and (M,) on the line: quantile against quantile.

    (integral over u of |F_a^-1(u) - F_b^-1(u)|^order)^(1/order). Its gradient is 0 where the distance is.
    """
    return _quantile_distance(a[:, None], b[:, None], order)


def wasserstein(a: Tensor, b: Tensor, order: int = 1) -> Tensor:
    """Return the exact Wasserstein distance of two samples in any dimension, by linear programming.

    Takes O(N³ log N): a few thousand rows. The best plan stays best while the rows move a little, so the
    gradient is that of the distances under a fixed plan.
    """
    import ot

    distances = torch.cdist(a, b)
    costs = (distances.detach() ** order).double().cpu().numpy()
    plan = torch.from_numpy(ot.emd([], [], costs, numItermax=MAX_ITERATIONS)).to(distances)
    return torch.linalg.vector_norm(plan ** (1 / order) * distances, ord=order)


def sliced_wasserstein(
    a: Tensor, b: Tensor, directions: int, random: torch.Generator, order: int = 2
) -> Tensor:
    """Return the Wasserstein distance averaged over random directions (Bonneel et al. 2015).

    (mean over directions of W_order^order)^(1/order); smaller than the distance itself, and zero with it.
    """
    drawn = torch.randn(a.shape[1], directions, generator=random, dtype=torch.float64)
    drawn = (drawn / drawn.norm(dim=0)).to(a)
    return _quantile_distance(a @ drawn, b @ drawn, order) / directions ** (1 / order)


def rbf(bandwidths: Sequence[float]) -> Kernel:
    """Return the kernel that sums exp(-|x - y|² / (2 sigma²)) over the bandwidths sigma."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        squares = squared_distances(x, y)
        return torch.stack([torch.exp(-squares / (2 * sigma**2)) for sigma in bandwidths]).sum(0)

    return kernel


def inverse_multiquadric(scales: Sequence[float]) -> Kernel:
    """Return the kernel that sums C / (C + |x - y|²) over C = 2 D scale (Tolstikhin et al. 2018, section 4).

    2 D is the mean squared distance of two draws from N(0, I), the prior whose latents it compares.
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        squares = squared_distances(x, y)
        constants = [2 * x.shape[1] * scale for scale in scales]
        return torch.stack([constant / (constant + squares) for constant in constants]).sum(0)

    return kernel


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
    return torch.pdist(torch.cat([a, b]).detach()).median().item()


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


def _quantile_distance(a: Tensor, b: Tensor, order: int) -> Tensor:
    """Return (sum over columns of W_order^order)^(1/order) of samples (N, K) and (M, K), column by column."""
    a, b = a.sort(0).values, b.sort(0).values
    # Both quantile functions are steps; levels are counted in 1 / (N M) so that equal ones meet exactly.
    n, m = len(a), len(b)
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()
    starts = torch.cat([torch.zeros(1, dtype=ends.dtype), ends[:-1]])
    weights = ((ends - starts).to(a) / (n * m)) ** (1 / order)
    differences = a[(starts // m).to(a.device)] - b[(starts // n).to(b.device)]
    return torch.linalg.vector_norm(weights[:, None] * differences, ord=order)
