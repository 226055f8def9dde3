"""The manifest of a checkpoint, checkpoint.json: what it is, what it offers and how it came to be.

training/package.py writes it, service/checkpoint.py reads it, everything that serves a model obeys it.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue, model_validator

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"
FILE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

MAX_FILE_BYTES = 2**31 - 1
"""ONNX has no larger graphs, and files are read whole."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
FileName = Annotated[str, Field(pattern=FILE_PATTERN)]
Operation = Literal["encode", "decode", "generate", "translate"]
TENSORS: dict[Operation, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "encode": (("images",), ("latents", "logvar")),
    "decode": (("latents",), ("images",)),
    "generate": (("latents", "labels"), ("images",)),
    "translate": (("images",), ("translated",)),
}
"""What the inputs and outputs of an operation's graphs are called; a second one may be left out."""


class _Part(BaseModel):
    """A manifest section: unknown fields and coercions are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ImageSpec(_Part):
    """How pictures become the graphs' image tensors, (N, channels, height, width) float32.

    A picture is turned upright, laid over `fill` where it is transparent, and resized with its aspect
    ratio kept ("pad": area average when it shrinks, bicubic when it grows, centred on `fill`). Grey is
    ITU-R 601 luma. 0..255 maps linearly to `range`. Height and width are null where the graphs accept
    any multiple of `stride`.
    """

    channels: Literal[1, 3]
    height: Annotated[int, Field(ge=1, le=4096)] | None
    width: Annotated[int, Field(ge=1, le=4096)] | None
    stride: Annotated[int, Field(ge=1, le=1024)] = 1
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


PriorKind = Literal["normal", "uniform", "laplace", "truncated-normal", "cauchy"]


class IndependentPrior(_Part):
    """Independent coordinates of one distribution around 0, as service/sampling.py writes them down."""

    kind: PriorKind = "normal"


class MixturePrior(_Part):
    """A mixture of Gaussians: with probability `weights[k]`, mean `means[k]` and covariance L L^T.

    L is `factors[k]`, lower triangular. Latents are flat here, of D numbers.
    """

    kind: Literal["mixture"] = "mixture"
    weights: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1, max_length=256)]
    means: tuple[tuple[FiniteFloat, ...], ...]
    factors: tuple[tuple[tuple[FiniteFloat, ...], ...], ...]

    @model_validator(mode="after")
    def _check(self) -> MixturePrior:
        components, size = len(self.weights), len(self.means[0]) if self.means else 0
        if abs(sum(self.weights) - 1) > 1e-3:
            raise ValueError("latent.prior.weights must sum to 1")
        if len(self.means) != components or any(len(mean) != size for mean in self.means):
            raise ValueError("latent.prior.means must have one row of one length per weight")
        square = all(
            len(factor) == size and all(len(row) == size for row in factor) for factor in self.factors
        )
        if len(self.factors) != components or not square:
            raise ValueError("latent.prior.factors must have one square matrix per weight")
        return self

    @cached_property
    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
        """Return cumulated weights (K,), means (K, D) and factors (K, D, D)."""
        edges = np.cumsum(self.weights)
        return edges / edges[-1], np.array(self.means, np.float32), np.array(self.factors, np.float32)


class LatentSpec(_Part):
    """One latent: its shape without the batch axis, and where `generate` draws it from."""

    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=4)]
    prior: Annotated[IndependentPrior | MixturePrior, Field(discriminator="kind")] = IndependentPrior()

    @model_validator(mode="after")
    def _check(self) -> LatentSpec:
        if isinstance(self.prior, MixturePrior) and len(self.prior.means[0]) != self.size:
            raise ValueError("latent.prior.means must be as long as a latent")
        return self

    @cached_property
    def size(self) -> int:
        """Return how many numbers one latent holds."""
        return math.prod(self.shape)


class TensorSpec(_Part):
    """One input or output of a graph; `shape` leaves out the batch axis, null is a variable axis."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    dtype: Literal["float32", "int64"]
    shape: tuple[int | None, ...]


class Graph(_Part):
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


class Operations(_Part):
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


class DataRecord(_Part):
    """What the checkpoint was trained on."""

    name: str
    sha256: str
    split: str
    seed: int


class TrainingRecord(_Part):
    """How the checkpoint was trained, enough to run it again."""

    recipe: str
    config: dict[str, JsonValue]
    seed: int
    steps: int
    images_seen: int
    seconds: float
    device: str
    libraries: dict[str, str]
    commit: str | None


class GoldenRecord(_Part):
    """The file with one input and its outputs per operation, and how far a load may stray from it.

    Arrays are named `<key>.in.<tensor>` and `<key>.out.<tensor>`, with the keys of `Manifest.graphs`
    (`translate.boots.in.images`). `tolerance` is a fraction of the output's range: other processors
    round differently.
    """

    file: FileName = "golden.npz"
    tolerance: float = 1e-3


class ReferenceRecord(_Part):
    """The file that says what the checkpoint was trained on (service/reference.py)."""

    file: FileName = "reference.npz"
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    """Of its images, in the order of their indices."""


class FileRecord(_Part):
    """What a file of the checkpoint must be."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]


class Manifest(_Part):
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

    def _check_tensors(self, key: str, graph: Graph) -> None:
        """Refuse a graph whose tensors are not the contract's, in the shapes of `image` and `latent`."""
        image = self.image.channels, self.image.height, self.image.width
        latent = self.latent.shape if self.latent else ()
        shapes = {"images": image, "translated": image, "latents": latent, "logvar": latent, "labels": ()}
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
