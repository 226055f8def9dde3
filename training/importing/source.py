"""What a reader hands over: networks with what is known of their images and latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from pydantic import JsonValue
from torch import nn

Range = tuple[float, float]


class SourceError(ValueError):
    """Something that cannot be imported; the message names what was found and what is allowed."""


@dataclass(frozen=True)
class ImageFormat:
    """The images a network takes and gives."""

    channels: int
    height: int | None
    """None, as the width, where any multiple of `stride` will do."""
    width: int | None
    stride: int = 1
    value_range: Range = (-1.0, 1.0)

    @property
    def is_free(self) -> bool:
        """Say whether images have any size."""
        return self.height is None

    def size(self, asked: int | None) -> tuple[int, int]:
        """Return the height and width to try the networks at.

        Where they take any size, the height is `asked`, or else 64 pixels or 8 strides; the width is another,
        so that the two are not taken for one.

        Raises:
            SourceError: the networks do not take images of that size.
        """
        if self.height is not None and self.width is not None:
            if asked not in (None, self.height) or asked not in (None, self.width):
                raise SourceError(f"--size {asked}: these networks take {self.height} x {self.width} pixels")
            return self.height, self.width
        side = asked or self.stride * max(8, -(-64 // self.stride))
        if side % self.stride or side < 2 * self.stride:
            raise SourceError(
                f"--size {side}: a multiple of {self.stride} is needed, {2 * self.stride} or more"
            )
        return side, side + self.stride


@dataclass(frozen=True)
class LatentFormat:
    """The latents of an autoencoder."""

    shape: tuple[int | None, ...]
    """None where height and width are those of the image, divided by its stride."""
    scaling_factor: float = 1.0
    shift_factor: float = 0.0


@dataclass(frozen=True)
class Source:
    """Networks that were trained elsewhere."""

    family: str
    title: str
    operations: dict[str, nn.Module]
    """By the keys of a manifest's graphs; in evaluation mode, on the CPU."""
    image: ImageFormat
    latent: LatentFormat | None
    weights_sha256: str
    domains: tuple[str, str] | None = None
    libraries: Sequence[str] = ()
    """Packages that were used, besides those of training."""
    settings: dict[str, JsonValue] = field(default_factory=dict)
    """The source's own description."""


def check_domains(domains: tuple[str, str], to: str | None) -> None:
    """Refuse domains that cannot be distinguished, and a target that is not one of them.

    Raises:
        SourceError: the message names the option.
    """
    a, b = domains
    if a == b or not (a and b) or to not in (None, a, b):
        raise SourceError(
            f"--domains {a} {b}, --to {to}: two names that differ are needed, and --to is one of them"
        )


def ready(module: nn.Module) -> nn.Module:
    """Return a module ready to be exported: float32, in evaluation mode, without gradients."""
    return module.to(torch.float32).eval().requires_grad_(requires_grad=False)


def check_channels(inputs: int, outputs: int) -> int:
    """Return the channels of the images on both sides.

    Raises:
        SourceError: they are not one number, or neither grey nor colour.
    """
    if inputs != outputs or inputs not in (1, 3):
        raise SourceError(
            f"it takes {inputs} channels and gives {outputs}; "
            "a checkpoint has 1 (grey) or 3 (colour) both ways"
        )
    return inputs
