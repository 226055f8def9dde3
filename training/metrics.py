"""Figures of merit on tensors; images are (N, C, size, size) in [0, 1] unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training.probes import nearest
from training.randomness import generator

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11
LARGE = 4096
"""Numbers in an image beyond which its covariance is too large to take apart whole."""


def mse(images: Tensor, others: Tensor) -> float:
    """Return the mean squared difference over all pixels."""
    return (images - others).square().mean().item()


def psnr(images: Tensor, others: Tensor) -> float:
    """Return the mean over images of 10 log10(1 / MSE), in dB."""
    errors = (images - others).square().flatten(1).mean(1).clamp_min(1e-10)
    return (-10 * errors.log10()).mean().item()


def ssim(images: Tensor, others: Tensor) -> float:
    """Return the mean structural similarity (Wang et al. 2004: window 11, sigma 1.5, K 0.01 and 0.03)."""
    return (
        torch.cat([_ssim(a, b) for a, b in zip(images.split(1000), others.split(1000), strict=True)])
        .mean()
        .item()
    )


def l1(images: Tensor, others: Tensor) -> float:
    """Return the mean absolute difference over all pixels."""
    return (images - others).abs().mean().item()


def retrieval(images: Tensor, others: Tensor) -> float:
    """Return the share of images to which, of all `others`, the one at their own place is nearest."""
    _, places = nearest(images.flatten(1), others.flatten(1), 1)
    return (places[:, 0] == torch.arange(len(images))).double().mean().item()


def pca_mse(train: Tensor, test: Tensor, dimensions: int) -> float:
    """Return the test error of the best linear code: PCA fitted on `train`, `dimensions` components."""
    return PCA.fit(train, dimensions).mse(test, dimensions)


@dataclass(frozen=True)
class PCA:
    """The linear code of least squared error."""

    mean: Tensor
    """(pixels,) float64."""
    components: Tensor
    """Orthonormal columns (pixels, D) float64, the last of the largest variance."""

    @classmethod
    def fit(cls, images: Tensor, dimensions: int) -> PCA:
        """Return the code of `dimensions` numbers, of fewer where there are fewer pixels or images."""
        flat = images.flatten(1).double()
        mean = flat.mean(0)
        flat -= mean
        count, pixels = flat.shape
        if count < pixels:
            # The covariance of few images has no more directions than these span.
            values, vectors = torch.linalg.eigh(flat @ flat.T)
            kept = values > values[-1] * count * torch.finfo(torch.float64).eps
            components = flat.T @ (vectors[:, kept] / values[kept].sqrt())
        elif pixels > LARGE:
            components = _leading_directions(flat, min(dimensions, pixels))
        else:
            components = torch.linalg.eigh(flat.T @ flat / count).eigenvectors
        return cls(mean, components[:, -dimensions:])

    def codes(self, images: Tensor, dimensions: int) -> Tensor:
        """Return the first `dimensions` numbers of each image's code, (N, dimensions) float64."""
        return (images.flatten(1).double() - self.mean) @ self.components[:, -dimensions:]

    def rebuilt(self, images: Tensor, dimensions: int) -> Tensor:
        """Return images as the first `dimensions` numbers of their codes give them back."""
        flat = self.codes(images, dimensions) @ self.components[:, -dimensions:].T + self.mean
        return flat.to(images.dtype).view_as(images)

    def mse(self, images: Tensor, dimensions: int) -> float:
        """Return the mean squared error of images given back."""
        flat = images.flatten(1).double() - self.mean
        directions = self.components[:, -dimensions:]
        return float((flat - flat @ directions @ directions.T).square().mean())


def rounded(images: Tensor, noise: float, random: torch.Generator) -> Tensor:
    """Return images after 8-bit rounding and a little Gaussian noise, which erases hidden messages."""
    steps = (images * 255).round() / 255
    return (steps + noise * torch.randn(images.shape, generator=random)).clamp(0, 1)


def _ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return one value per image."""
    channels = a.shape[1]
    offsets = torch.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    line = torch.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    line = line / line.sum()
    window = torch.outer(line, line).expand(channels, 1, -1, -1)

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(x, window, groups=channels)

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity = similarity / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))
    return similarity.flatten(1).mean(1)


def _leading_directions(centred: Tensor, dimensions: int) -> Tensor:
    """Return the right singular vectors of the largest values, by subspace iteration (Halko et al. 2011)."""
    random = generator(0, "subspace iteration")
    guess = torch.randn((centred.shape[1], dimensions + 16), generator=random, dtype=centred.dtype)
    for _ in range(8):
        guess = torch.linalg.qr(centred.T @ (centred @ guess)).Q
    _, _, right = torch.linalg.svd(centred @ guess, full_matrices=False)
    return (guess @ right.T)[:, :dimensions].flip(1)
