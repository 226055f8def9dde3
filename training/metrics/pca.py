"""Principal component analysis, and the error of images rebuilt from their first components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def pca_mse(train: Tensor, test: Tensor, dimensions: int) -> float:
    """Return the test error of the best linear latent: PCA fitted on `train`, `dimensions` components."""
    return PCA.fit(train, dimensions).mse(test, dimensions)


@dataclass(frozen=True)
class PCA:
    """Principal component analysis of rows of numbers (images, latents): scikit-learn's, as tensors."""

    mean: Tensor
    """(numbers,) float64."""
    components: Tensor
    """Orthonormal rows (D, numbers) float64, largest variance first; the largest part of each is positive."""
    shares: Tensor
    """Of the variance, (D,) float64."""

    @classmethod
    def fit(cls, rows: Tensor, dimensions: int) -> PCA:
        """Return the first `dimensions` components of rows (N, ...), fewer where the rows cannot span them.

        Few numbers in a row: the eigenvectors of their covariance. Many: randomised, with more passes and
        directions than the default, which leave the error of a latent exact to about 1e-6.
        """
        from sklearn import decomposition

        flat = rows.flatten(1).to(torch.float64, copy=True).numpy()  # it is centred in place
        count = min(dimensions, len(flat) - 1, flat.shape[1])
        analysis = decomposition.PCA(count, copy=False, iterated_power=8, n_oversamples=64, random_state=0)
        with np.errstate(invalid="ignore"):  # rows that are all equal have no variance to share out
            analysis.fit(flat)
        shares = np.nan_to_num(analysis.explained_variance_ratio_)
        return cls(*map(torch.from_numpy, (analysis.mean_, analysis.components_, shares)))

    def project(self, rows: Tensor, dimensions: int) -> Tensor:
        """Return the first `dimensions` numbers of the latent of each row, (N, dimensions) float64."""
        return (rows.flatten(1).double() - self.mean) @ self.components[:dimensions].T

    def rebuilt(self, rows: Tensor, dimensions: int) -> Tensor:
        """Return rows as the first `dimensions` numbers of their latents give them back."""
        flat = self.project(rows, dimensions) @ self.components[:dimensions] + self.mean
        return flat.to(rows.dtype).view_as(rows)

    def mse(self, rows: Tensor, dimensions: int) -> float:
        """Return the mean squared error of rows given back."""
        flat = rows.flatten(1).double() - self.mean
        directions = self.components[:dimensions]
        return float((flat - flat @ directions.T @ directions).square().mean())
