"""What a manifest keeps on record, and the base of its sections: data, training, other files."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

MAX_FILE_BYTES = 2**31 - 1
"""ONNX has no larger graphs, and files are read whole."""

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class ManifestModel(BaseModel):
    """A part of a manifest: unknown fields and coercions are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class DataRecord(ManifestModel):
    """What the checkpoint was trained on."""

    name: str
    sha256: str
    split: str
    seed: int


class TrainingRecord(ManifestModel):
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


class GoldenRecord(ManifestModel):
    """The file with one input and its outputs per operation, and how far a load may stray from it.

    Arrays are named `<key>.in.<tensor>` and `<key>.out.<tensor>`, with the keys of `Manifest.graphs`
    (`translate.boots.in.images`). `tolerance` is a fraction of the output's range: other processors
    round differently.
    """

    file: FileName = "golden.npz"
    tolerance: float = 1e-3


class ReferenceRecord(ManifestModel):
    """The file that says what the checkpoint was trained on (service/checkpoint/reference.py)."""

    file: FileName = "reference.npz"
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    """Of its images, in the order of their indices."""


class FileRecord(ManifestModel):
    """What a file of the checkpoint must be."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]
