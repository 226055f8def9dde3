"""Metrics of images as tensors, (N, C, size, size) in [0, 1] unless noted otherwise.

PSNR and SSIM are a few lines; torchmetrics, which has them too, is what tests compare them with, and so no
package that training needs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from training.metrics.probes import nearest

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11


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
