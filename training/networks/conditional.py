"""Generator and discriminator that are given a class.

The generator takes the class through conditional batch normalisation (de Vries et al. 2017, Dumoulin et
al. 2017); the discriminator by projection (Miyato & Koyama 2018).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.convolution import crop, halvings, widths


class ConditionalNorm(nn.Module):
    """Batch normalisation whose scale and shift belong to the class."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Embedding(classes, channels)
        self.shift = nn.Embedding(classes, channels)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return (N, C, H, W) features normalised, scaled and shifted by class."""
        scale, shift = self.scale(labels), self.shift(labels)
        return self.norm(features) * scale[:, :, None, None] + shift[:, :, None, None]


class UpStage(nn.Module):
    """Conditional norm, ReLU, 3x3 convolution, pixel shuffle: doubles height and width."""

    def __init__(self, channels: int, out: int, classes: int) -> None:
        super().__init__()
        self.norm = ConditionalNorm(channels, classes)
        self.convolution = nn.Conv2d(channels, 4 * out, 3, padding=1)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return (N, out, 2H, 2W)."""
        return F.pixel_shuffle(self.convolution(F.relu(self.norm(features, labels))), 2)


class ConditionalGenerator(nn.Module):
    """(N, latent_dim) latents and (N,) labels -> (N, channels, size, size) images in [-1, 1]."""

    def __init__(self, channels: int, size: int, latent_dim: int, classes: int, width: int) -> None:
        super().__init__()
        stages = halvings(size)
        wide = [2 * width, *widths(stages, width // 2)[::-1]]
        self.size, self.side, self.wide = size, -(-size // 2**stages), wide[0]
        self.first = nn.Linear(latent_dim, wide[0] * self.side**2)
        self.stages = nn.ModuleList(UpStage(last, out, classes) for last, out in pairwise(wide))
        self.norm = ConditionalNorm(wide[-1], classes)
        self.last = nn.Conv2d(wide[-1], channels, 3, padding=1)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        features = self.first(latents).view(-1, self.wide, self.side, self.side)
        for stage in self.stages:
            features = stage(features, labels)
        images = torch.tanh(self.last(F.relu(self.norm(features, labels))))
        return crop(images, self.size)


class ConditionalDiscriminator(nn.Module):
    """Images and labels -> one realness logit each, and class logits from the images alone; no norm."""

    def __init__(self, channels: int, size: int, classes: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
        last, side = width, size
        for wide in widths(halvings(size), 2 * width):
            layers += [nn.Conv2d(last, wide, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            last, side = wide, side // 2
        layers += [nn.Flatten(), nn.Linear(last * side * side, 256), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.realness = nn.Linear(256, 1)
        self.projection = nn.Embedding(classes, 256)
        self.naming = nn.Linear(256, classes)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return realness logits, (N,), and class logits, (N, classes)."""
        features = self.features(images)
        realness = self.realness(features)[:, 0] + (features * self.projection(labels)).sum(1) / 16
        return realness.float(), self.naming(features).float()
