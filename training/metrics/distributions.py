"""How far generated images are from real ones, as two clouds of features (N, D).

Written here, a few lines each: torchmetrics' FID and KID want a network and images to put through it, and the
library for density and coverage (prdc) is not maintained. Tests compare the former with torchmetrics, the
latter with their definitions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.metrics.probes import nearest

NEIGHBOURS = 5
"""k of density and coverage, as its authors use it."""
BLOCK = 200
"""Rows at once: their kernel should stay in the cache."""


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the Fréchet distance of the Gaussians with the samples' moments (Heusel et al. 2017).

    |m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½), float64
    """
    a, b = a.double(), b.double()
    covariance_a, covariance_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(covariance_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    # C_a^½ C_b C_a^½ has the eigenvalues of C_a C_b, and is symmetric.
    product = torch.linalg.eigvalsh(root @ covariance_b @ root)
    trace = covariance_a.trace() + covariance_b.trace() - 2 * product.clamp_min(0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + trace)


def kid(a: Tensor, b: Tensor) -> float:
    """Return the kernel distance (Binkowski et al. 2018): the unbiased squared MMD, kernel (x.y/D + 1)³."""

    def total(x: Tensor, y: Tensor) -> float:
        sums = []
        for block in x.split(BLOCK):
            kernel = block @ y.T / y.shape[1] + 1
            sums.append((kernel * kernel * kernel).sum(1).double().sum())
        return float(torch.stack(sums).sum())

    def within(x: Tensor) -> float:
        diagonal = (x.square().sum(1) / x.shape[1] + 1).pow(3).sum(dtype=torch.float64)
        return (total(x, x) - float(diagonal)) / (len(x) * (len(x) - 1))

    return within(a) + within(b) - 2 * total(a, b) / (len(a) * len(b))


def radii(real: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """Return each real sample's distance to its k-th nearest among the others, (N,)."""
    return nearest(real, real, k + 1)[0][:, -1]


def density_and_coverage(
    real: Tensor, radius: Tensor, generated: Tensor, k: int = NEIGHBOURS
) -> tuple[float, float]:
    """Return density and coverage (Naeem et al. 2020), from the real samples and their `radii`.

    Density counts in how many real samples' balls a generated one lies, over k: 1 is expected of real ones.
    Coverage is the share of real samples that have a generated one in their ball.
    """
    hits, covered = 0, 0
    squared_radius = radius.square()
    squared_norm = generated.square().sum(1)
    for block, limit in zip(real.split(BLOCK), squared_radius.split(BLOCK), strict=True):
        distances = torch.addmm(squared_norm, block, generated.T, alpha=-2)
        distances += block.square().sum(1, keepdim=True)
        inside = distances < limit[:, None]
        hits += int(inside.sum())
        covered += int(inside.any(1).sum())
    return hits / (k * len(generated)), covered / len(real)
