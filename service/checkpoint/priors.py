"""Where `generate` draws latents from, as a manifest says it; service/latent_space/sampling.py draws."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, model_validator

from service.checkpoint.records import ManifestModel

PriorKind = Literal["normal", "uniform", "laplace", "truncated-normal", "cauchy"]


class IndependentPrior(ManifestModel):
    """Independent coordinates of one distribution around 0, as latent_space/sampling.py defines it."""

    kind: PriorKind = "normal"


class MixturePrior(ManifestModel):
    """A mixture of Gaussians: with probability `weights[k]`, mean `means[k]` and covariance L L^T.

    L is `factors[k]`, lower triangular. Latents are flat here, of D numbers.
    """

    kind: Literal["mixture"] = "mixture"
    weights: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1, max_length=256)]
    means: tuple[tuple[FiniteFloat, ...], ...]
    factors: tuple[tuple[tuple[FiniteFloat, ...], ...], ...]

    @model_validator(mode="after")
    def _check(self) -> MixturePrior:
        components, size = len(self.weights), len(self.means[0]) if self.means else 0
        if abs(sum(self.weights) - 1) > 1e-3:
            raise ValueError("latent.prior.weights must sum to 1")
        if len(self.means) != components or any(len(mean) != size for mean in self.means):
            raise ValueError("latent.prior.means must have one row of one length per weight")
        square = all(
            len(factor) == size and all(len(row) == size for row in factor) for factor in self.factors
        )
        if len(self.factors) != components or not square:
            raise ValueError("latent.prior.factors must have one square matrix per weight")
        return self

    @cached_property
    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
        """Return cumulated weights (K,), means (K, D) and factors (K, D, D)."""
        edges = np.cumsum(self.weights)
        return edges / edges[-1], np.array(self.means, np.float32), np.array(self.factors, np.float32)
