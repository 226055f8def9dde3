"""Generators that pytorch-CycleGAN-and-pix2pix saved: `latest_net_G_A.pth` and the like.

What network it is follows from the names and shapes of its weights. Dropout is off and batch norm uses what
it learned, as with that program's `--eval`; padding is by reflection, its default, which leaves no trace in a
file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from training.importing import weights
from training.importing.source import (
    ImageFormat,
    Source,
    SourceError,
    check_channels,
    check_domains,
    ready,
)
from training.networks.cyclegan import Norm, ResidualGenerator, UNetGenerator

Tensors = dict[str, Tensor]

FIRST_BLOCK = 10
"""Place of the first residual block."""

BUFFERS = re.compile(r"(running_mean|running_var|num_batches_tracked)$")


def read(paths: Sequence[Path], domains: tuple[str, str], to: str | None) -> Source:
    """Return the generators in one file, or in two for both directions.

    The first translates to `to`, by default the second domain; another one translates back.

    Raises:
        SourceError: a file is no generator of that program, or the two do not go together.
    """
    if len(paths) > 2:
        raise SourceError(f"{len(paths)} files were given; one generator, or two for both directions")
    a, b = domains
    check_domains(domains, to)
    first = to or b
    targets = (first, a if first == b else b)
    operations: dict[str, nn.Module] = {}
    formats = []
    for target, path in zip(targets, paths, strict=False):
        network, image = _generator(path)
        operations[f"translate.{target}"] = network
        formats.append(image)
    if len(set(formats)) > 1:
        raise SourceError("the two generators take images of different sizes or channels")
    return Source(
        family="cyclegan",
        title=f"Generator of {a} and {b} by pytorch-CycleGAN-and-pix2pix",
        operations=operations,
        image=formats[0],
        latent=None,
        domains=domains,
        weights_sha256=weights.sha256(*paths),
    )


def _generator(path: Path) -> tuple[nn.Module, ImageFormat]:
    """Return the network in a file, and its images."""
    tensors = weights.without_prefix(weights.read_tensors(path), "module.")
    try:
        if "model.1.weight" in tensors and any(".conv_block." in name for name in tensors):
            return _residual(tensors)
        if "model.model.0.weight" in tensors:
            return _u_net(tensors)
    except SourceError as error:
        raise SourceError(f"{path.name}: {error}") from None
    names = ", ".join(list(tensors)[: weights.SHOWN])
    raise SourceError(
        f"{path.name} begins with {names}; a resnet generator has model.1.weight and conv_block, "
        "a unet generator model.model.0.weight"
    )


def _residual(tensors: Tensors) -> tuple[nn.Module, ImageFormat]:
    blocks = len({name.split(".")[1] for name in tensors if ".conv_block." in name})
    first, last = tensors["model.1.weight"], tensors.get(f"model.{FIRST_BLOCK + blocks + 7}.weight")
    if first.ndim != 4 or last is None or last.ndim != 4:
        raise SourceError(f"it looks like a resnet generator of {blocks} blocks, but its ends are others")
    norm = _norm(tensors, "model.1", "model.2")
    second = tensors.get(f"model.{FIRST_BLOCK}.conv_block.6.weight")
    dropout = second is not None and second.ndim == 4
    network = ResidualGenerator(first.shape[1], last.shape[0], first.shape[0], blocks, norm, dropout)
    weights.load(network, _without_statistics(tensors, norm), f"a resnet generator of {blocks} blocks")
    channels = check_channels(first.shape[1], last.shape[0])
    return ready(network), ImageFormat(channels, None, None, stride=4)


def _u_net(tensors: Tensors) -> tuple[nn.Module, ImageFormat]:
    top, last = tensors["model.model.0.weight"], tensors.get("model.model.3.weight")
    widths, prefix = [top.shape[0]], "model.model.1.model."
    while (convolution := tensors.get(f"{prefix}1.weight")) is not None:
        widths.append(convolution.shape[0])
        prefix += "3.model."
    if len(widths) < 2 or top.ndim != 4 or last is None or last.ndim != 4:
        raise SourceError("it looks like a unet generator, but its levels are others")
    norm = _norm(tensors, "model.model.1.model.1", "model.model.1.model.2")
    network = UNetGenerator(top.shape[1], last.shape[1], widths, norm)
    weights.load(network, _without_statistics(tensors, norm), f"a unet generator of {len(widths)} levels")
    side = 2 ** len(widths)
    return ready(network), ImageFormat(check_channels(top.shape[1], last.shape[1]), side, side)


def _norm(tensors: Tensors, convolution: str, norm: str) -> Norm:
    """Return the norm after a convolution.

    Batch norm alone has weights, and convolutions before instance norm alone have a bias.
    """
    if f"{norm}.weight" in tensors:
        return "batch"
    return "instance" if f"{convolution}.bias" in tensors else "none"


def _without_statistics(tensors: Tensors, norm: Norm) -> Tensors:
    """Leave out what early versions kept for instance norm and never used."""
    if norm == "batch":
        return tensors
    return {name: value for name, value in tensors.items() if not BUFFERS.search(name)}
