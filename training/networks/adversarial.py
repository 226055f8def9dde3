"""Generators and discriminators of images, without classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.networks.convolution import Decoder, halvings, widths

SLOPE = 0.2
"""Of leaky rectifiers below zero."""
FEATURES = 256
"""Numbers that a plain discriminator makes of an image before it judges."""


class Generator(Decoder):
    """Generator after DCGAN (Radford et al. 2016): (N, inputs) -> images in `value_range`."""

    def __init__(
        self, channels: int, size: int, inputs: int, width: int, value_range: tuple[float, float]
    ) -> None:
        super().__init__(channels, size, inputs, width)
        self.value_range = value_range

    def forward(self, latents: Tensor) -> Tensor:
        """Return the images, (N, channels, size, size)."""
        low, high = self.value_range
        return torch.sigmoid(super().forward(latents).float()) * (high - low) + low


class Discriminator(nn.Module):
    """Strided convolutions down to one number per image, (N,); `norm` normalises batches on the way."""

    def __init__(self, channels: int, size: int, width: int, norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last, side = channels, size
        for index, wide in enumerate(widths(halvings(size) + 1, width)):
            layers.append(nn.Conv2d(last, wide, 4, stride=2, padding=1))
            if norm and index:
                layers.append(nn.BatchNorm2d(wide))
            layers.append(nn.LeakyReLU(SLOPE))
            last, side = wide, side // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(last * side * side, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores."""
        scores: Tensor = self.layers(images)
        return scores[:, 0].float()


class PlainDiscriminator(nn.Module):
    """Convolutions and a hidden layer, nothing normalised: images -> one number each, (N,)."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.features = plain_features(channels, size, width)
        self.realness = nn.Linear(FEATURES, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores."""
        scores: Tensor = self.realness(self.features(images))
        return scores[:, 0].float()


def plain_features(channels: int, size: int, width: int) -> nn.Sequential:
    """Return layers from images to (N, FEATURES), without any norm."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(SLOPE)]
    last, side = width, size
    for wide in widths(halvings(size), 2 * width):
        layers += [nn.Conv2d(last, wide, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        last, side = wide, side // 2
    layers += [nn.Flatten(), nn.Linear(last * side * side, FEATURES), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)
