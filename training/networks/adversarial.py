"""Generators and discriminators of images, without classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.convolution import Decoder, crop, halvings, widths

SLOPE = 0.2
"""Of leaky rectifiers below zero."""


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
        scores: Tensor = self.layers(images)
        return scores[:, 0].float()


class PlainBlock(nn.Module):
    """x + two 3x3 convolutions of x without any norm; the second starts at zero (Zhang et al. 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.first.weight, SLOPE)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H, W)."""
        residual: Tensor = self.second(F.leaky_relu(self.first(F.leaky_relu(x, SLOPE)), SLOPE))
        return x + residual


class PlainGenerator(nn.Module):
    """Residual generator without normalisation: (N, inputs) -> (N, channels, size, size) in [-1, 1]."""

    def __init__(self, channels: int, size: int, inputs: int, width: int) -> None:
        super().__init__()
        stages = halvings(size)
        self.size, self.side = size, -(-size // 2**stages)
        wide = widths(stages, width)[::-1]
        self.wide = last = 2 * wide[0]
        self.first = nn.Linear(inputs, last * self.side**2)
        layers: list[nn.Module] = []
        for out in wide:
            layers += [PlainBlock(last), nn.Conv2d(last, 4 * out, 3, padding=1), nn.PixelShuffle(2)]
            last = out
        self.layers = nn.Sequential(
            *layers, nn.LeakyReLU(SLOPE), nn.Conv2d(last, channels, 3, padding=1), nn.Tanh()
        )

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(self.first(latents).view(-1, self.wide, self.side, self.side))
        return crop(images.float(), self.size)


class PlainDiscriminator(nn.Module):
    """Residual discriminator without normalisation: images -> one number each, (N,)."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last, side = channels, size
        for wide in widths(halvings(size), 2 * width):
            layers += [nn.Conv2d(last, wide, 4, stride=2, padding=1), PlainBlock(wide)]
            last, side = wide, side // 2
        layers += [nn.LeakyReLU(SLOPE), nn.Flatten()]
        self.layers = nn.Sequential(*layers, nn.Linear(last * side * side, 1))

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layers(images)
        return scores[:, 0].float()
