"""Where generators draw their latents from: independent numbers, or a mixture of Gaussians fitted to latents.

The encoder of a VAE fills the prior only roughly: the mean over all images of q(z|x) is not N(0, I), and
draws from the gaps decode to nothing. A mixture fitted to that mean (Dai & Wipf 2019 fit a second VAE) keeps
to where the decoder was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

PriorKind = Literal["normal", "uniform", "laplace", "truncated-normal", "cauchy"]

_TAIL = torch.special.ndtr(torch.tensor(-2.0, dtype=torch.float64)).item()
QUANTILES: dict[PriorKind, Callable[[Tensor], Tensor]] = {
    "uniform": lambda u: 3**0.5 * (2 * u - 1),
    "laplace": lambda u: -(u - 0.5).sign() * (1 - (2 * u - 1).abs()).log() / 2**0.5,
    "truncated-normal": lambda u: torch.special.ndtri(_TAIL + (1 - 2 * _TAIL) * u),
    "cauchy": lambda u: (torch.pi * (u - 0.5)).tan(),
}
"""Quantile functions of all but the normal, as service/latent_space/sampling.py defines them; a test compares
the two."""

COMPONENTS = 10
LATENTS_PER_NUMBER = 10
"""A component is fitted to so many latents at least for each number of a latent."""


def independent(kind: PriorKind, shape: Sequence[int], random: torch.Generator) -> Tensor:
    """Return independent numbers of one distribution, float32."""
    if kind == "normal":
        return torch.randn(shape, generator=random)
    u = torch.rand(shape, generator=random, dtype=torch.float64).clamp_min(2.0**-54)
    return QUANTILES[kind](u).float()


class MixturePrior(nn.Module):
    """K Gaussians with weights (K,), means (K, D) and covariances L L^T from lower triangular L (K, D, D).

    Until it is fitted every component is N(0, I).
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, latent_dim: int, components: int = COMPONENTS) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, latent_dim))
        self.register_buffer("factors", torch.eye(latent_dim).repeat(components, 1, 1))

    def fit(self, latents: Tensor, seed: int) -> None:
        """Fit by expectation maximisation to latents (N, D).

        A component needs some latents to learn its covariance from: where there are few, fewer are fitted and
        each stands for several.
        """
        from sklearn.mixture import GaussianMixture

        fitted = min(len(self.weights), max(1, len(latents) // (LATENTS_PER_NUMBER * latents.shape[1])))
        found = GaussianMixture(fitted, random_state=seed, reg_covar=1e-4).fit(latents.double().numpy())
        alike = torch.arange(len(self.weights)) % fitted
        shares = torch.bincount(alike)
        self.weights.copy_((torch.from_numpy(found.weights_) / shares)[alike])
        self.means.copy_(torch.from_numpy(found.means_)[alike])
        self.factors.copy_(torch.linalg.cholesky(torch.from_numpy(found.covariances_))[alike])

    def forward(self, noise: Tensor, uniform: Tensor) -> Tensor:
        """Return latents (N, D) from standard normal rows (N, D) and uniform numbers (N,)."""
        edges = self.weights.cumsum(0)
        component = torch.searchsorted(edges / edges[-1], uniform).clamp_max(len(edges) - 1)
        return self.means[component] + (self.factors[component] @ noise[:, :, None])[:, :, 0]
