"""Imported networks become graphs and are held against them, on random numbers and on real images.

Source, images -> try_out -> Trial -> description
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.data.datasets import to_range, to_unit
from training.importing.inputs import random_images, random_latents
from training.importing.source import Source, SourceError
from training.packaging.onnx_export import BATCHES, CHUNK, ExportedGraph, Free, difference, export, opened
from training.packaging.package import OUTPUTS

BATCHED_PIXELS = 64 * 64
"""Images of more pixels run one at a time: on one thread a batch of them saves nothing."""

MOST_STRIDES = 8
"""Sides that are tried for the smallest image, in strides."""

SHOWN_PIXELS = 512 * 512
SHOWN = 32
"""Images of a preview, at most."""

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class Trial:
    """What came of trying networks out."""

    graphs: dict[str, ExportedGraph]
    parity: dict[str, float]
    """Largest difference from the source's networks, as a fraction of the output's range, by `<key>.random`
    and `<key>.real`."""
    min_side: int
    """Pixels of the smallest image that all of them take."""


def try_out(source: Source, pixels: Tensor, count: int, log: Callable[[str], None]) -> Trial:
    """Export every operation and compare it, on `count` random inputs and real images, uint8 (N, C, H, W).

    Raises:
        ExportError: a graph does not compute what its network does.
        SourceError: a network does not return what its operation has to.
    """
    size = pixels.shape[2], pixels.shape[3]
    images = to_range(pixels, source.image.value_range)
    smallest = _min_side(source)
    free = _free_axes(source)
    graphs, parity = {}, {}
    for key, network in source.operations.items():
        tried = random_inputs(key, source, count, size)
        outputs = _checked_outputs(key, source, tried)
        batches = BATCHES if not free and size[0] * size[1] <= BATCHED_PIXELS else ()
        graphs[key] = export(network, tried, outputs, free, batches)
        graph = opened(graphs[key].model)
        parity[f"{key}.random"] = graphs[key].parity
        if free:
            small = random_inputs(key, source, 2, (smallest, smallest))
            parity[f"{key}.random"] = max(graphs[key].parity, difference(graph, network, small))
        real = real_inputs(key, source, images)
        if real is not None:
            parity[f"{key}.real"] = difference(graph, network, real)
        differences = ", ".join(
            f"{parity[f'{key}.{kind}']:.1g} on {tried} {kind} inputs"
            for kind, tried in (("random", count), ("real", len(images)))
            if f"{key}.{kind}" in parity
        )
        log(f"{key}: graph and network differ by at most {differences}, of the output's range")
    return Trial(graphs, parity, smallest)


def random_inputs(key: str, source: Source, count: int, size: tuple[int, int]) -> Inputs:
    """Return random inputs of an operation, for images of a size."""
    if key in ("decode", "generate") and source.latent is not None:
        return {"latents": random_latents(count, latent_shape(source, size), source.latent)}
    return {"images": random_images(count, (source.image.channels, *size), source.image.value_range)}


def real_inputs(key: str, source: Source, images: Tensor) -> Inputs | None:
    """Return inputs of an operation that come of real images; None for latents that nothing encodes."""
    if key not in ("decode", "generate"):
        return {"images": images}
    encode = source.operations.get("encode")
    return None if encode is None else {"latents": run(encode, images)}


def run(network: nn.Module, rows: Tensor) -> Tensor:
    """Return what a network makes of many rows; of a distribution the mean."""
    found = []
    with torch.inference_mode():
        for chunk in rows.split(CHUNK):
            returned = network(chunk)
            found.append(returned[0] if isinstance(returned, tuple) else returned)
    return torch.cat(found).clone()


def latent_shape(source: Source, size: tuple[int, int]) -> tuple[int, ...]:
    """Return the shape of the latent of an image."""
    assert source.latent is not None
    sides = iter(length // source.image.stride for length in size)
    return tuple(next(sides) if axis is None else axis for axis in source.latent.shape)


def preview(source: Source, pixels: Tensor) -> Tensor:
    """Return what to show of the networks, (N, C, H, W) in [0, 1]."""
    size = pixels.shape[2], pixels.shape[3]
    count = max(4, min(SHOWN, SHOWN_PIXELS // (2 * size[0] * size[1])))
    rows = _shown(source, to_range(pixels[:count], source.image.value_range))
    return to_unit(torch.stack(rows, dim=1).flatten(0, 1), source.image.value_range)


def _shown(source: Source, given: Tensor) -> list[Tensor]:
    """Return images, and what becomes of them step by step; or else what becomes of random latents."""
    networks = source.operations
    if {"encode", "decode"} <= set(networks):
        return [given, run(networks["decode"], run(networks["encode"], given))]
    rows = [given]
    for key, network in networks.items():
        if key.startswith("translate."):
            rows.append(run(network, rows[-1]))
        elif key in ("decode", "generate"):
            (latents,) = random_inputs(key, source, len(given), (given.shape[2], given.shape[3])).values()
            return [run(network, latents)]
    return rows


def _free_axes(source: Source) -> Free:
    if not source.image.is_free:
        return {}
    names: Sequence[str] = ("images", "translated")
    if source.latent is not None and None in source.latent.shape:
        names = (*names, "latents", "logvar")
    return dict.fromkeys(names, (2, 3))


def _min_side(source: Source) -> int:
    """Return the side of the smallest square image that every network takes, in pixels."""
    stride = source.image.stride
    if not source.image.is_free:
        return 1
    for strides in range(1, MOST_STRIDES + 1):
        size = strides * stride, strides * stride
        try:
            for key, network in source.operations.items():
                run(network, next(iter(random_inputs(key, source, 1, size).values())))
        except (RuntimeError, ValueError, IndexError):
            continue
        return size[0]
    raise SourceError(
        f"no image of {stride} x {stride} to {MOST_STRIDES * stride} x {MOST_STRIDES * stride} pixels "
        "can be run; a fixed size is set with --size"
    )


def _checked_outputs(key: str, source: Source, inputs: Inputs) -> tuple[str, ...]:
    """Return the names of what an operation returns.

    Raises:
        SourceError: it fails, or returns something of another number, type or shape.
    """
    operation = key.partition(".")[0]
    names = OUTPUTS[operation]
    first = next(iter(inputs.values()))[:2]
    try:
        with torch.inference_mode():
            returned = source.operations[key](first)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise SourceError(
            f"{key} fails on {_words(first)} ({type(error).__name__}): see --size, --channels and --latent"
        ) from None
    found = returned if isinstance(returned, tuple) else (returned,)
    if not 1 <= len(found) <= len(names) or not all(isinstance(one, Tensor) for one in found):
        raise SourceError(f"{key} must return {' and '.join(names)} as tensors, or the first alone")
    size = (first.shape[2], first.shape[3]) if "images" in inputs else None
    if operation == "encode":
        shape = latent_shape(source, size or (0, 0))
    else:
        shape = _image_shape(source, size, first)
    for name, one in zip(names, found, strict=False):
        if tuple(one.shape) != (len(first), *shape) or one.dtype != torch.float32:
            wanted = " x ".join(map(str, shape))
            raise SourceError(f"{key} returns {name} as {_words(one)}; {wanted} in float32 is needed")
    return names[: len(found)]


def _image_shape(source: Source, size: tuple[int, int] | None, latents: Tensor) -> tuple[int, ...]:
    """Return the shape of the images that come out, for images of a size or for latents."""
    image = source.image
    if image.height is not None and image.width is not None:
        size = image.height, image.width
    elif size is None:
        if latents.ndim != 4:
            raise SourceError("a latent of one size makes images of one size: give it with --size")
        size = latents.shape[2] * image.stride, latents.shape[3] * image.stride
    return image.channels, *size


def _words(rows: Tensor) -> str:
    return f"{' x '.join(map(str, rows.shape[1:]))} in {str(rows.dtype).removeprefix('torch.')}"
