"""Six ways to spoil an image, for denoising autoencoders (Vincent et al. 2008).

Gaussian, uniform, Laplace and Cauchy noise is added to every number of the image; salt-and-pepper and
masking replace some of them. Noisy images are not clipped to [0, 1]: clipping would make the noise depend
on the image (black can only get brighter), so its mean would no longer be zero, nor would any statement
about a posterior mean or a score hold. Whoever shows or serves a noisy image clips it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

NoiseKind = Literal["gaussian", "uniform", "laplace", "cauchy", "salt-and-pepper", "mask"]
Noise = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""Images (N, ...), levels (N, 1, ...) and a CPU generator -> noisy images (N, ...)."""


def corrupt(images: Tensor, kind: NoiseKind, levels: Tensor, random: torch.Generator) -> Tensor:
    """Return the images with noise, not clipped.

    Args:
        images: (N, ...), any float type.
        kind: which noise.
        levels: (N,), the strength per image. gaussian, uniform, laplace: the standard deviation; cauchy:
            the scale gamma, half the distance between its quartiles, since it has no deviation;
            salt-and-pepper, mask: the share of numbers hit, in [0, 1].
        random: a CPU generator; the same one gives the same noise on every device.
    """
    return NOISES[kind](images, levels.reshape(-1, *[1] * (images.ndim - 1)), random)


def gaussian(images: Tensor, levels: Tensor, random: torch.Generator) -> Tensor:
    """Add N(0, level^2)."""
    return images + levels * _blank(images).normal_(generator=random).to(images.device)


def uniform(images: Tensor, levels: Tensor, random: torch.Generator) -> Tensor:
    """Add a number uniform on [-h, h], h = sqrt(3) level."""
    half_width = math.sqrt(3) * levels
    return images + half_width * _blank(images).uniform_(-1, 1, generator=random).to(images.device)


def laplace(images: Tensor, levels: Tensor, random: torch.Generator) -> Tensor:
    """Add a Laplace number of scale level / sqrt(2): the difference of two exponential ones."""
    first, second = (_blank(images).exponential_(generator=random) for _ in range(2))
    return images + levels / math.sqrt(2) * (first - second).to(images.device)


def cauchy(images: Tensor, levels: Tensor, random: torch.Generator) -> Tensor:
    """Add a Cauchy number of scale `level`."""
    return images + levels * _blank(images).cauchy_(generator=random).to(images.device)


def salt_and_pepper(images: Tensor, levels: Tensor, random: torch.Generator) -> Tensor:
    """Set a share `level` of the numbers to 0 or 1, half of them each."""
    hit = _blank(images).uniform_(generator=random).to(images.device) < levels
    salt = _blank(images).uniform_(generator=random).to(images.device) < 0.5
    return torch.where(hit, salt.to(images.dtype), images)


def mask(images: Tensor, levels: Tensor, random: torch.Generator) -> Tensor:
    """Set a share `level` of the numbers to 0."""
    hit = _blank(images).uniform_(generator=random).to(images.device) < levels
    return torch.where(hit, torch.zeros_like(images), images)


def _blank(images: Tensor) -> Tensor:
    """Return an empty CPU tensor of the images' shape and type, to be filled with random numbers."""
    return torch.empty(images.shape, dtype=images.dtype)


NOISES: dict[NoiseKind, Noise] = {
    "gaussian": gaussian,
    "uniform": uniform,
    "laplace": laplace,
    "cauchy": cauchy,
    "salt-and-pepper": salt_and_pepper,
    "mask": mask,
}
