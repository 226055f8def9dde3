"""The manifest of a checkpoint, checkpoint.json: what it is, what it offers and how it came to be.

training/packaging/package.py writes it, service/checkpoint/ reads it, everything that serves a model obeys
it.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, JsonValue, model_validator

from service.checkpoint.priors import IndependentPrior, MixturePrior
from service.checkpoint.records import (
    DataRecord,
    FileName,
    FileRecord,
    GoldenRecord,
    ManifestModel,
    ReferenceRecord,
    TrainingRecord,
)

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Operation = Literal["encode", "decode", "generate", "translate"]
TENSORS: dict[Operation, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "encode": (("images",), ("latents", "logvar")),
    "decode": (("latents",), ("images",)),
    "generate": (("latents", "labels"), ("images",)),
    "translate": (("images",), ("translated",)),
}
"""What the inputs and outputs of an operation's graphs are called; a second one may be left out."""


class ImageSpec(ManifestModel):
    """How images become the graphs' image tensors, (N, channels, height, width) float32.

    An image is turned upright, laid over `fill` where it is transparent, and resized with its aspect
    ratio kept ("pad": area average when it shrinks, bicubic when it grows, centred on `fill`). Grey is
    ITU-R 601 luma. 0..255 maps linearly to `range`. Height and width are null where the graphs accept
    any multiple of `stride` from `min_side` on, as long as an image has no more than `max_pixels`.
    """

    channels: Literal[1, 3]
    height: Annotated[int, Field(ge=1, le=4096)] | None
    width: Annotated[int, Field(ge=1, le=4096)] | None
    stride: Annotated[int, Field(ge=1, le=1024)] = 1
    min_side: Annotated[int, Field(ge=1, le=4096)] = 1
    max_pixels: Annotated[int, Field(ge=1)] | None = None
    range: tuple[float, float] = (0.0, 1.0)
    resize: Literal["pad"] = "pad"
    grey: Literal["luma601"] = "luma601"
    fill: Annotated[int, Field(ge=0, le=255)] = 0

    @model_validator(mode="after")
    def _check(self) -> ImageSpec:
        if self.range[0] >= self.range[1]:
            raise ValueError("image.range must rise")
        if (self.height is None) != (self.width is None):
            raise ValueError("image.height and image.width are both set or both null")
        return self

    def side(self, length: int) -> int:
        """Return the multiple of `stride` nearest to a length in pixels, where sizes are free."""
        fewest = -(-self.min_side // self.stride)
        return max(fewest, round(length / self.stride)) * self.stride

    def takes(self, height: int, width: int) -> bool:
        if self.height is not None:
            return (height, width) == (self.height, self.width)
        return (height, width) == (self.side(height), self.side(width))

    def pixel_limit(self, most: int) -> int:
        """Return how many pixels an image may have, where all may have `most`."""
        return most if self.max_pixels is None else min(most, self.max_pixels)


class LatentSpec(ManifestModel):
    """One latent: its shape without the batch axis, and where `generate` draws it from.

    Where images have any size, a latent may be (channels, null, null): its height and width are those of
    the image divided by `image.stride`. `scaling_factor` and `shift_factor` are what diffusion models
    were trained with: they see (latent - shift_factor) * scaling_factor.
    """

    shape: Annotated[tuple[Annotated[int, Field(ge=1)] | None, ...], Field(min_length=1, max_length=4)]
    prior: Annotated[IndependentPrior | MixturePrior, Field(discriminator="kind")] = IndependentPrior()
    scaling_factor: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    shift_factor: FiniteFloat = 0.0

    @model_validator(mode="after")
    def _check(self) -> LatentSpec:
        if None in self.shape and (len(self.shape) != 3 or self.shape.index(None) != 1 or self.shape[2]):
            raise ValueError(
                "latent.shape may have null for height and width together, as in [4, null, null]"
            )
        if isinstance(self.prior, MixturePrior) and (self.is_free or len(self.prior.means[0]) != self.size):
            raise ValueError("latent.prior.means must be as long as a latent")
        return self

    @property
    def is_free(self) -> bool:
        """Say whether its height and width are those of each image."""
        return None in self.shape

    @cached_property
    def fixed_shape(self) -> tuple[int, ...]:
        """Return the shape of every latent.

        Raises:
            ValueError: they differ, with the images' sizes.
        """
        axes = tuple(axis for axis in self.shape if axis is not None)
        if len(axes) != len(self.shape):
            raise ValueError("the latents of this model have no fixed shape")
        return axes

    @cached_property
    def size(self) -> int:
        """Return how many numbers one latent holds; ValueError if that differs."""
        return math.prod(self.fixed_shape)


class TensorSpec(ManifestModel):
    """One input or output of a graph; `shape` leaves out the batch axis, null is a variable axis."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    dtype: Literal["float32", "int64"]
    shape: tuple[int | None, ...]


class Graph(ManifestModel):
    """One ONNX graph: its file, its tensors in order, and the batch it was found to run best at.

    Rows of a batch are computed alike whatever batch they come in, up to `preferred_batch` rows.
    """

    graph: FileName
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preferred_batch: Annotated[int, Field(ge=1, le=1024)]


class Translation(Graph):
    """A graph that carries images from another domain to the one it is listed under."""

    source: Annotated[str, Field(alias="from", min_length=1)]


class Operations(ManifestModel):
    """What a checkpoint offers.

    The names are those of the graphs' tensors, in this order (a graph cannot call an input and an output
    alike, hence `translated`):

    encode: images -> latents (the mean), and logvar where the code is a distribution
    decode: latents -> images
    generate: latents (and labels, where the model has classes) -> images
    translate: images -> translated, by target domain
    """

    encode: Graph | None = None
    decode: Graph | None = None
    generate: Graph | None = None
    translate: dict[str, Translation] | None = None


class Manifest(ManifestModel):
    """checkpoint.json, schema 1."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    name: Name
    version: Annotated[int, Field(ge=1)]
    family: str
    title: str
    licence: str
    image: ImageSpec
    latent: LatentSpec | None
    classes: tuple[str, ...] | None
    null_label: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """What asks `generate` for an image of whatever class; to its graph the index after the last class."""
    domains: tuple[str, ...] | None
    operations: Operations
    default_for: tuple[Operation, ...]
    data: DataRecord
    training: TrainingRecord
    metrics: dict[str, JsonValue]
    parity: dict[str, float]
    golden: GoldenRecord
    reference: ReferenceRecord | None = None
    files: dict[FileName, FileRecord]

    @model_validator(mode="after")
    def _check(self) -> Manifest:
        offered = self.offers()
        if not offered:
            raise ValueError("operations: at least one is needed")
        for operation in self.default_for:
            if operation not in offered:
                raise ValueError(f"default_for names {operation}, which operations lacks")
        if self.latent is None and {"encode", "decode", "generate"} & set(offered):
            raise ValueError("latent: needed by encode, decode and generate")
        self._check_free_latent(offered)
        for key, graph in self.graphs().items():
            self._check_tensors(key, graph)
        if self.null_label and self.null_label.casefold() in map(
            str.casefold, self.classes or (self.null_label,)
        ):
            raise ValueError("null_label: needs classes, none of which has its name")
        if self.reference and "encode" not in offered:
            raise ValueError("reference: needs encode")
        for needed in self.needed_files():
            if needed not in self.files:
                raise ValueError(f"files lacks {needed}")
        return self

    def _check_free_latent(self, offered: tuple[Operation, ...]) -> None:
        if self.latent is None or not self.latent.is_free:
            return
        if self.image.height is not None:
            raise ValueError("latent.shape: null needs images of any size")
        if "generate" in offered or self.reference:
            raise ValueError("latent.shape: null excludes generate and a reference")

    def _check_tensors(self, key: str, graph: Graph) -> None:
        """Refuse a graph whose tensors are not the contract's, in the shapes of `image` and `latent`."""
        image = self.image.channels, self.image.height, self.image.width
        latent = self.latent.shape if self.latent else ()
        shapes: dict[str, tuple[int | None, ...]] = {
            "images": image,
            "translated": image,
            "latents": latent,
            "logvar": latent,
            "labels": (),
        }
        prefix = key.partition(".")[0]
        known = next(names for operation, names in TENSORS.items() if operation == prefix)
        for tensors, names in zip((graph.inputs, graph.outputs), known, strict=True):
            found = [tensor.name for tensor in tensors]
            if not found or found != list(names[: len(found)]):
                raise ValueError(f"operations: {key} has tensors {found} where the contract is {list(names)}")
            for tensor in tensors:
                dtype = "int64" if tensor.name == "labels" else "float32"
                if (tensor.dtype, tensor.shape) != (dtype, shapes[tensor.name]):
                    raise ValueError(
                        f"operations: {key}: {tensor.name} must be {dtype} {shapes[tensor.name]}"
                    )
        if (len(graph.inputs) == 2) != (key == "generate" and self.classes is not None):
            raise ValueError("operations: generate takes labels if and only if there are classes")

    @cached_property
    def labels(self) -> tuple[str, ...] | None:
        """Return what `generate` can be asked for, by index; None where there are no classes."""
        if self.classes is None or self.null_label is None:
            return self.classes
        return *self.classes, self.null_label

    def needed_files(self) -> set[str]:
        """Return the names of the files that a service reads, besides the preview."""
        reference = {self.reference.file} if self.reference else set()
        return {graph.graph for graph in self.graphs().values()} | {self.golden.file} | reference

    def offers(self) -> tuple[Operation, ...]:
        """Return the operations offered, in the contract's order."""
        order: tuple[Operation, ...] = ("encode", "decode", "generate", "translate")
        return tuple(name for name in order if getattr(self.operations, name))

    def graphs(self) -> dict[str, Graph]:
        """Return every graph by its key: `encode`, `decode`, `generate`, `translate.<domain>`."""
        single = {name: getattr(self.operations, name) for name in ("encode", "decode", "generate")}
        graphs: dict[str, Graph] = {name: graph for name, graph in single.items() if graph}
        for domain, graph in (self.operations.translate or {}).items():
            graphs[f"translate.{domain}"] = graph
        return graphs
