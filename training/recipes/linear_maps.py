"""The linear autoencoder over a whole data set at once, through its covariance, in float64.

With centred images x of covariance C, latent V x and reconstruction W V x, the mean over all images of
|x - W V x|² is  L(V, W) = tr[(I - W V) C (I - W V)ᵀ]  (Baldi & Hornik 1989).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.runtime.randomness import generator

RATE = 0.2
MOMENTUM = 0.95


@dataclass(frozen=True)
class Maps:
    """Encoder V (k, d) and decoder W (d, k)."""

    v: Tensor
    w: Tensor

    def error(self, covariance: Tensor) -> Tensor:
        """Return L(V, W), summed over the d numbers of an image."""
        residual = torch.eye(len(covariance), dtype=covariance.dtype) - self.w @ self.v
        return ((residual @ covariance) * residual).sum()


@dataclass(frozen=True)
class Descent:
    """Where a descent ended, and its errors and spans on the way."""

    maps: Maps
    steps: tuple[int, ...]
    path: tuple[Maps, ...]


def covariance(rows: Tensor, mean: Tensor) -> Tensor:
    """Return the covariance about `mean` of rows (N, d), (d, d)."""
    centred = rows - mean
    return centred.T @ centred / len(rows)


def start(features: int, dimensions: int, size: float, seed: int) -> Maps:
    """Return small random maps; `size` is the expected norm of a row of V and of a column of W."""
    random = generator(seed, "linear autoencoder")
    shape = (dimensions, features)
    v, w = (torch.randn(shape, generator=random, dtype=torch.float64) for _ in range(2))
    return Maps(v * size / math.sqrt(features), w.T * size / math.sqrt(features))


def gradients(maps: Maps, covariance: Tensor) -> Maps:
    """Return the gradients of L by V and by W."""
    v, w = maps.v, maps.w
    latent = v @ covariance
    # dL/dW = 2 (W V C Vᵀ - C Vᵀ),  dL/dV = 2 (Wᵀ W V C - Wᵀ C)
    return Maps(2 * (w.T @ w @ latent - w.T @ covariance), 2 * (w @ (latent @ v.T) - latent.T))


def descend(maps: Maps, covariance: Tensor, steps: int, keep: int, momentum: float = MOMENTUM) -> Descent:
    """Go down the gradient with momentum, and keep every `keep`-th place.

    The step size is a share of 1 / lambda_max: the curvature of L at its minimum is about 4 lambda_max
    where V and W are of equal size, as they stay from a small start.
    """
    rate = RATE / float(torch.linalg.eigvalsh(covariance)[-1])
    motion = Maps(torch.zeros_like(maps.v), torch.zeros_like(maps.w))
    kept = [(0, maps)]
    for step in range(1, steps + 1):
        slope = gradients(maps, covariance)
        motion = Maps(momentum * motion.v - rate * slope.v, momentum * motion.w - rate * slope.w)
        maps = Maps(maps.v + motion.v, maps.w + motion.w)
        if step % keep == 0:
            kept.append((step, maps))
    return Descent(maps, *(tuple(part) for part in zip(*kept, strict=True)))


def largest_angle_deg(first: Tensor, second: Tensor) -> float:
    """Return the largest principal angle between the spans of two matrices' columns, in degrees."""
    from scipy.linalg import subspace_angles

    return math.degrees(float(subspace_angles(first.numpy(), second.numpy()).max()))
