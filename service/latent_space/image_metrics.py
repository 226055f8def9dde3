"""How alike two batches of images are, per image: what /reconstruct and /translate report.

Images are (N, C, H, W) on the scale [0, 1], see `to_unit_range`.
training/metrics/image_metrics.py computes the same in torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.checkpoint.manifest import ImageSpec

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2


def mse(images: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean squared difference of each pair, (N,)."""
    squares = (images.astype(np.float64) - others) ** 2
    errors: NDArray[np.float64] = squares.reshape(len(images), -1).mean(axis=1)
    return errors


def psnr(images: NDArray[np.float32], others: NDArray[np.float32]) -> list[float | None]:
    """Return 10 log10(1 / MSE) of each pair in dB; None where they are identical, as JSON has no infinity."""
    return [float(-10 * np.log10(error)) if error > 0 else None for error in mse(images, others)]


def ssim(images: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the structural similarity of each pair, (N,), at most 1 (Wang et al. 2004).

    Gaussian window of 11 pixels with sigma 1.5, K = 0.01 and 0.03, averaged over the windows that lie
    inside the image and over channels. Along a side shorter than 11 pixels the window is as long as it.
    """
    a, b = images.astype(np.float64), others.astype(np.float64)
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + SSIM_C1) / (mean_a**2 + mean_b**2 + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variance_a + variance_b + SSIM_C2)
    means: NDArray[np.float64] = (luminance * structure).reshape(len(a), -1).mean(axis=1)
    return means


def _blur(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh every window inside the image by the Gaussian: rows, then columns."""
    for axis in (2, 3):
        length = min(SSIM_WINDOW, x.shape[axis])
        offsets = np.arange(length) - (length - 1) / 2
        weights = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
        windows = np.lib.stride_tricks.sliding_window_view(x, length, axis=axis)
        x = windows @ (weights / weights.sum())
    return x


def to_unit_range(images: NDArray[np.float32], spec: ImageSpec) -> NDArray[np.float32]:
    """Return images on the scale [0, 1]; what lies outside the model's range is clipped, as in an image."""
    low, high = spec.range
    scaled: NDArray[np.float32] = ((images - np.float32(low)) / np.float32(high - low)).clip(0, 1)
    return scaled
