"""Plain convolutional halves: images to a flat latent, and a flat latent to images, at any square size."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def halvings(size: int) -> int:
    """Return how often `size` is halved until at most 8 pixels are left."""
    count = 0
    while -(-size // 2**count) > 8:
        count += 1
    return count


def widths(stages: int, width: int, limit: int = 128) -> list[int]:
    """Return the channels after each stage: `width` doubled per stage up to `limit`."""
    return [min(limit, width * 2**stage) for stage in range(stages)]


def perceptron(inputs: int, out: int, hidden: int) -> list[nn.Module]:
    """Return fully connected layers with two hidden ones between, or with `hidden` 0 one linear layer."""
    if not hidden:
        return [nn.Linear(inputs, out)]
    return [
        nn.Linear(inputs, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, out),
    ]


class Encoder(nn.Module):
    """Strided convolutions, then a perceptron: (N, channels, size, size) -> (N, out)."""

    def __init__(self, channels: int, size: int, out: int, width: int = 32, hidden: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last, side = channels, size
        for wide in widths(halvings(size), width):
            layers += [nn.Conv2d(last, wide, 4, stride=2, padding=1), nn.BatchNorm2d(wide), nn.SiLU()]
            last, side = wide, side // 2
        layers += [nn.Conv2d(last, 2 * last, 3, padding=1), nn.BatchNorm2d(2 * last), nn.SiLU(), nn.Flatten()]
        self.layers = nn.Sequential(*layers, *perceptron(2 * last * side * side, out, hidden))

    def forward(self, images: Tensor) -> Tensor:
        """Return one row of `out` numbers per image."""
        rows: Tensor = self.layers(images)
        return rows


class Decoder(nn.Module):
    """A perceptron, then 3x3 convolutions with pixel shuffle: (N, inputs) -> (N, channels, size, size).

    Pixel shuffle (Shi et al. 2016) does the arithmetic at the low resolution, where it is cheap.
    The output is not squashed.
    """

    def __init__(self, channels: int, size: int, inputs: int, width: int = 32, hidden: int = 0) -> None:
        super().__init__()
        stages = halvings(size)
        self.size = size
        self.side = -(-size // 2**stages)
        wide = widths(stages, width)[::-1]
        self.first = nn.Sequential(
            *perceptron(inputs, 2 * wide[0] * self.side**2, hidden),
            nn.Unflatten(1, (2 * wide[0], self.side, self.side)),
        )
        layers: list[nn.Module] = [nn.BatchNorm2d(2 * wide[0]), nn.SiLU()]
        last = 2 * wide[0]
        for out in wide:
            layers += [
                nn.Conv2d(last, 4 * out, 3, padding=1),
                nn.PixelShuffle(2),
                nn.BatchNorm2d(out),
                nn.SiLU(),
            ]
            last = out
        self.layers = nn.Sequential(*layers, nn.Conv2d(last, channels, 3, padding=1))

    def forward(self, latents: Tensor) -> Tensor:
        """Return one image per latent, cropped to the centre where the doublings overshoot."""
        images: Tensor = self.layers(self.first(latents))
        return crop(images, self.size)


class UnitDecoder(Decoder):
    """A decoder whose images are in [0, 1]."""

    def forward(self, latents: Tensor) -> Tensor:
        """Return images (N, channels, size, size) in [0, 1]."""
        return torch.sigmoid(self.logits(latents))

    def logits(self, latents: Tensor) -> Tensor:
        """Return images before the sigmoid, float32 also where the layers before are less exact."""
        return super().forward(latents).float()


def crop(images: Tensor, size: int) -> Tensor:
    """Return the central size x size pixels of (N, C, H, W)."""
    if images.shape[-1] == size:
        return images
    start = (images.shape[-1] - size) // 2
    return images[..., start : start + size, start : start + size]
