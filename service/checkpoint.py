"""The checkpoint format: what training writes and the service reads.

A checkpoint is one folder, `<root>/<name>/<version>/`:

    checkpoint.json     the manifest (the `Manifest` below)
    checkpoint.sha256   the SHA-256 of checkpoint.json
    *.onnx              one graph per served operation, weights inside
    golden.npz          one input and its outputs per operation, to check a load by
    weights.safetensors, README.md, preview.png ...   for people and for training

`checkpoint.sha256` covers the manifest and the manifest covers every other file, so a folder is whole
and unchanged or it is refused. Nothing here runs code from a checkpoint and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

MANIFEST = "checkpoint.json"
MANIFEST_HASH = "checkpoint.sha256"
MAX_MANIFEST_BYTES = 1 << 20
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"
FILE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

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


class CheckpointError(Exception):
    """A checkpoint that cannot be trusted; the message says which rule it breaks."""


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


class NormalPrior(_Part):
    """Independent standard normal coordinates, N(0, I)."""

    kind: Literal["normal"] = "normal"


class LatentSpec(_Part):
    """One latent: its shape without the batch axis, and where `generate` draws it from."""

    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=4)]
    prior: NormalPrior = NormalPrior()

    @property
    def size(self) -> int:
        """Return how many numbers one latent holds."""
        return int(np.prod(self.shape))


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


class FileRecord(_Part):
    """What a file of the checkpoint must be."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


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
    domains: tuple[str, ...] | None
    operations: Operations
    default_for: tuple[Operation, ...]
    data: DataRecord
    training: TrainingRecord
    metrics: dict[str, JsonValue]
    parity: dict[str, float]
    golden: GoldenRecord
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
        for needed in [graph.graph for graph in self.graphs().values()] + [self.golden.file]:
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


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose every file was found to be what its manifest says."""

    folder: Path
    manifest: Manifest
    graphs: dict[str, bytes]
    """Serialised ONNX graphs by the keys of `Manifest.graphs`."""
    golden: dict[str, NDArray[np.generic]]


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def versions(root: Path, name: str) -> list[int]:
    """Return the version numbers present under `root/name`, highest first."""
    folder = root / name
    if not folder.is_dir():
        return []
    found = (int(child.name) for child in folder.iterdir() if re.fullmatch(r"[1-9][0-9]{0,8}", child.name))
    return sorted(found, reverse=True)


def read_manifest(folder: Path) -> Manifest:
    """Read and check `folder`'s manifest, without its other files.

    Raises:
        CheckpointError: it is missing, too large, does not match its hash, or breaks the schema.
    """
    raw = _read_file(folder, MANIFEST, limit=MAX_MANIFEST_BYTES)
    expected = _read_file(folder, MANIFEST_HASH, limit=256).decode("ascii", "replace").split()
    if not expected or expected[0] != sha256(raw):
        raise CheckpointError(f"{MANIFEST} does not match {MANIFEST_HASH}")
    try:
        manifest = Manifest.model_validate_json(raw, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or MANIFEST
        raise CheckpointError(f"{MANIFEST}: {where}: {first['msg']}") from None
    if (manifest.name, str(manifest.version)) != (folder.parent.name, folder.name):
        raise CheckpointError(
            f"{MANIFEST} says {manifest.name}/{manifest.version}, the folder says otherwise"
        )
    return manifest


def read(folder: Path) -> Checkpoint:
    """Read the checkpoint in `folder`, every file checked against the manifest.

    Raises:
        CheckpointError: any file is missing, changed, or of another size than the manifest says.
    """
    manifest = read_manifest(folder)
    needed = {graph.graph for graph in manifest.graphs().values()} | {manifest.golden.file}
    kept: dict[str, bytes] = {}
    for name, record in manifest.files.items():
        raw = _read_file(folder, name, limit=record.bytes)
        if len(raw) != record.bytes or sha256(raw) != record.sha256:
            raise CheckpointError(f"{name} does not match its hash in {MANIFEST}")
        if name in needed:
            kept[name] = raw
    graphs = {key: kept[graph.graph] for key, graph in manifest.graphs().items()}
    return Checkpoint(
        folder, manifest, graphs, _read_arrays(manifest.golden.file, kept[manifest.golden.file])
    )


def next_version(root: Path, name: str) -> int:
    """Return the version a new checkpoint of this name gets; versions only grow."""
    return max(versions(root, name), default=0) + 1


def write(root: Path, description: Mapping[str, JsonValue], files: Mapping[str, bytes]) -> Path:
    """Write a checkpoint so that a reader sees all of it or nothing, and return its folder.

    `description` is the manifest without `files`, which is filled in here. The folder is built beside
    its final place, synced to disk and renamed.

    Raises:
        CheckpointError: that version exists already.
        pydantic.ValidationError: the manifest breaks the schema.
        OSError: the disk is full or read-only; nothing is left behind.
    """
    records = {name: {"sha256": sha256(data), "bytes": len(data)} for name, data in files.items()}
    manifest = Manifest.model_validate({**description, "files": records})
    document = manifest.model_dump(mode="json", by_alias=True)
    raw = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    target = root / manifest.name / str(manifest.version)
    if target.exists():
        raise CheckpointError(f"{manifest.name}/{manifest.version} exists already")
    target.parent.mkdir(parents=True, exist_ok=True)
    building = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    try:
        building.mkdir()
        everything = {**files, MANIFEST: raw, MANIFEST_HASH: f"{sha256(raw)}  {MANIFEST}\n".encode()}
        for name, data in everything.items():
            _write_synced(building / name, data)
        _sync_folder(building)
        building.rename(target)
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _read_file(folder: Path, name: str, limit: int) -> bytes:
    """Return the bytes of a plain file, `limit` at most; links and special files are refused."""
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise CheckpointError(f"{name} is missing")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise CheckpointError(f"{name} is larger than {limit} bytes")
            return file.read(size)
    except OSError:
        raise CheckpointError(f"{name} cannot be read") from None


def _read_arrays(name: str, raw: bytes) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception:  # noqa: BLE001 - NumPy and zipfile raise a dozen kinds for a broken archive
        raise CheckpointError(f"{name} is not an archive of plain arrays") from None


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
