"""Generators as pytorch-CycleGAN-and-pix2pix saves them: names, shapes, and what they compute.

The weights are drawn here and the network is written with functions, so nothing of training/networks has part
in what it is compared with.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Tensors = dict[str, Tensor]
Network = Callable[[Tensor], Tensor]


class Saved:
    """Draws the weights of one network as they are asked for, and computes with them."""

    def __init__(self, norm: str, seed: int = 0) -> None:
        self.norm = norm
        self.tensors: Tensors = {}
        self.random = torch.Generator().manual_seed(seed)

    def weight(self, name: str, *shape: int, around: float = 0.0) -> Tensor:
        if name not in self.tensors:
            drawn = torch.randn(shape, generator=self.random)
            self.tensors[name] = around + drawn * (0.1 if around else (shape[0] * 9) ** -0.5)
        return self.tensors[name]

    def convolution(
        self, x: Tensor, name: str, out: int, side: int, *, bias: bool | None = None, **options: int
    ) -> Tensor:
        has_bias = self.norm == "instance" if bias is None else bias
        weight = self.weight(f"{name}.weight", out, x.shape[1], side, side)
        return F.conv2d(x, weight, self.weight(f"{name}.bias", out) if has_bias else None, **options)

    def transposed(
        self, x: Tensor, name: str, out: int, side: int, *, bias: bool | None = None, **options: int
    ) -> Tensor:
        has_bias = self.norm == "instance" if bias is None else bias
        weight = self.weight(f"{name}.weight", x.shape[1], out, side, side)
        return F.conv_transpose2d(
            x, weight, self.weight(f"{name}.bias", out) if has_bias else None, **options
        )

    def normed(self, x: Tensor, name: str) -> Tensor:
        if self.norm == "instance":
            return F.instance_norm(x)
        width = x.shape[1]
        scale = self.weight(f"{name}.weight", width, around=1.0)
        shift = self.weight(f"{name}.bias", width)
        mean = self.weight(f"{name}.running_mean", width)
        variance = self.weight(f"{name}.running_var", width, around=1.0).abs_()
        self.tensors[f"{name}.num_batches_tracked"] = torch.tensor(7)
        return F.batch_norm(x, mean, variance, scale, shift)


def mirrored(x: Tensor, pixels: int) -> Tensor:
    return F.pad(x, (pixels,) * 4, mode="reflect")


def resnet(
    norm: str = "instance",
    blocks: int = 6,
    width: int = 4,
    channels: int = 3,
    dropout: bool = False,
    seed: int = 0,
) -> tuple[Tensors, Network]:
    """Return the saved weights of a resnet generator, and what it computes."""
    saved = Saved(norm, seed)
    second = 6 if dropout else 5

    def run(x: Tensor) -> Tensor:
        x = F.relu(saved.normed(saved.convolution(mirrored(x, 3), "model.1", width, 7), "model.2"))
        for place, wide in ((4, 2 * width), (7, 4 * width)):
            x = saved.convolution(x, f"model.{place}", wide, 3, stride=2, padding=1)
            x = F.relu(saved.normed(x, f"model.{place + 1}"))
        for block in range(10, 10 + blocks):
            name = f"model.{block}.conv_block"
            y = saved.convolution(mirrored(x, 1), f"{name}.1", 4 * width, 3)
            y = F.relu(saved.normed(y, f"{name}.2"))
            y = saved.convolution(mirrored(y, 1), f"{name}.{second}", 4 * width, 3)
            x = x + saved.normed(y, f"{name}.{second + 1}")
        for place, wide in ((10 + blocks, 2 * width), (13 + blocks, width)):
            x = saved.transposed(x, f"model.{place}", wide, 3, stride=2, padding=1, output_padding=1)
            x = F.relu(saved.normed(x, f"model.{place + 1}"))
        return saved.convolution(mirrored(x, 3), f"model.{17 + blocks}", channels, 7, bias=True).tanh()

    run(torch.rand(2, channels, 16, 16))
    return saved.tensors, run


def unet(
    norm: str = "batch", levels: int = 5, width: int = 2, channels: int = 3, seed: int = 0
) -> tuple[Tensors, Network]:
    """Return the saved weights of a unet generator, and what it computes on images of 2^levels pixels."""
    saved = Saved(norm, seed)
    widths = [width * min(2**level, 8) for level in range(levels)]

    def below(x: Tensor, level: int, prefix: str) -> Tensor:
        """Return what a level makes of x, beside x."""
        y = saved.convolution(F.leaky_relu(x, 0.2), f"{prefix}1", widths[level], 4, stride=2, padding=1)
        if level == levels - 1:
            up, norm_name = f"{prefix}3", f"{prefix}4"
        else:
            y = below(saved.normed(y, f"{prefix}2"), level + 1, f"{prefix}3.model.")
            up, norm_name = f"{prefix}5", f"{prefix}6"
        y = saved.transposed(F.relu(y), up, widths[level - 1], 4, stride=2, padding=1)
        return torch.cat([x, saved.normed(y, norm_name)], 1)

    def run(x: Tensor) -> Tensor:
        y = saved.convolution(x, "model.model.0", width, 4, stride=2, padding=1)
        y = below(y, 1, "model.model.1.model.")
        y = saved.transposed(F.relu(y), "model.model.3", channels, 4, bias=True, stride=2, padding=1)
        return y.tanh()

    run(torch.rand(2, channels, 2**levels, 2**levels))
    return saved.tensors, run
