"""The generators of CycleGAN and pix2pix, laid out as the authors' program saves them.

Zhu et al. 2017 translate with residual blocks (after Johnson et al. 2016), Isola et al. 2017 with a U-Net.
The numbers in a saved network's names are places in its sequences, so layers without weights have theirs here
too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["batch", "instance", "none"]

NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,
    "none": lambda _: nn.Identity(),
}


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions of x, at edges of mirrored pixels."""

    def __init__(self, channels: int, norm: Norm, dropout: bool) -> None:
        super().__init__()
        bias = norm == "instance"
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            NORMS[norm](channels),
            nn.ReLU(),
            *([nn.Dropout(0.5)] if dropout else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            NORMS[norm](channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, C, H, W)."""
        residual: Tensor = self.conv_block(features)
        return features + residual


class ResidualGenerator(nn.Module):
    """Halved twice, residual blocks, doubled twice: (N, inputs, H, W) -> (N, outputs, H, W) in [-1, 1].

    Height and width are multiples of 4.
    """

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int, norm: Norm, dropout: bool) -> None:
        super().__init__()
        bias = norm == "instance"
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7, bias=bias)]
        layers += [NORMS[norm](width), nn.ReLU()]
        for wide in (width, 2 * width):
            halved = nn.Conv2d(wide, 2 * wide, 3, stride=2, padding=1, bias=bias)
            layers += [halved, NORMS[norm](2 * wide), nn.ReLU()]
        layers += [ResidualBlock(4 * width, norm, dropout) for _ in range(blocks)]
        for wide in (2 * width, width):
            doubled = nn.ConvTranspose2d(2 * wide, wide, 3, stride=2, padding=1, output_padding=1, bias=bias)
            layers += [doubled, NORMS[norm](wide), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        translated: Tensor = self.model(images)
        return translated


class Level(nn.Module):
    """One level of a U-Net: halved, the levels below, doubled; beside what came in, but at the top."""

    def __init__(self, layers: Sequence[nn.Module], is_top: bool) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)
        self.is_top = is_top

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, outputs, H, W); below the top with the C channels of the input before them."""
        changed: Tensor = self.model(features)
        return changed if self.is_top else torch.cat([features, changed], dim=1)


class UNetGenerator(nn.Module):
    """Halved until one pixel is left and doubled again: (N, inputs, S, S) -> (N, outputs, S, S) in [-1, 1].

    `widths` are the channels of each level from the top down; S is 2 to the power of their number.
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int], norm: Norm) -> None:
        super().__init__()
        bias = norm == "instance"
        below: nn.Module | None = None
        for depth in reversed(range(1, len(widths))):
            outer, inner = widths[depth - 1], widths[depth]
            down: list[nn.Module] = [
                nn.LeakyReLU(0.2),
                nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=bias),
            ]
            if below is not None:
                down += [NORMS[norm](inner), below]
            into = inner if below is None else 2 * inner
            up = nn.ConvTranspose2d(into, outer, 4, stride=2, padding=1, bias=bias)
            below = Level([*down, nn.ReLU(), up, NORMS[norm](outer)], is_top=False)
        assert below is not None, "a U-Net has two levels at least"
        top = nn.Conv2d(inputs, widths[0], 4, stride=2, padding=1, bias=bias)
        last = nn.ConvTranspose2d(2 * widths[0], outputs, 4, stride=2, padding=1)
        self.model = Level([top, below, nn.ReLU(), last, nn.Tanh()], is_top=True)

    def forward(self, images: Tensor) -> Tensor:
        translated: Tensor = self.model(images)
        return translated
