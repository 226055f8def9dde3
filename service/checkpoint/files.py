"""The checkpoint format: what training writes and the service reads.

A checkpoint is one folder, `<root>/<name>/<version>/`:

    checkpoint.json     the manifest (manifest.py)
    checkpoint.sha256   the SHA-256 of checkpoint.json
    *.onnx              one graph per served operation, weights inside
    golden.npz          one input and its outputs per operation, to check a load by
    reference.npz       training images with their latents, where there is an encoder (reference.py)
    weights.safetensors, README.md, preview.png ...   for people and for training

`checkpoint.sha256` covers the manifest and the manifest covers every other file, so a folder is whole
and unchanged or it is refused. Nothing here runs code from a checkpoint and nothing is unpickled.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, ValidationError

from service.checkpoint import reference
from service.checkpoint.manifest import Manifest
from service.checkpoint.records import FileRecord
from service.checkpoint.reference import Reference

MANIFEST = "checkpoint.json"
MANIFEST_HASH = "checkpoint.sha256"
PREVIEW = "preview.png"
MAX_MANIFEST_BYTES = 1 << 20
MAX_ARRAYS_BYTES = 1 << 28
"""What a file of arrays may hold once it is inflated: a small archive can be made to fill the memory."""


class CheckpointError(Exception):
    """A checkpoint that cannot be trusted; the message says which rule it breaks."""


class Unreadable(CheckpointError):
    """A checkpoint that the system does not let us read for now, which says nothing about its files."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose every file was found to be what its manifest says."""

    folder: Path
    manifest: Manifest
    graphs: dict[str, bytes]
    """Serialised ONNX graphs by the keys of `Manifest.graphs`."""
    golden: dict[str, NDArray[np.generic]]
    preview: bytes | None
    """A PNG that shows what the checkpoint does, for people."""
    reference: Reference | None


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def versions(root: Path, name: str) -> list[int]:
    """Return the version numbers present under `root/name`, highest first.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        names = [child.name for child in (root / name).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((int(name) for name in names if re.fullmatch(r"[1-9][0-9]{0,8}", name)), reverse=True)


def identity(folder: Path) -> tuple[str, int]:
    """Return the name and version that `folder`'s manifest states.

    Raises:
        CheckpointError: it is missing, or breaks the schema.
        Unreadable: it may be whole, but cannot be read now.
    """
    manifest = _open_manifest(folder)
    return manifest.name, manifest.version


def read_manifest(folder: Path, place: tuple[str, int] | None = None) -> Manifest:
    """Read and check `folder`'s manifest, without its other files.

    `place` is the name and version that it has to state, those of the folder if left out.

    Raises:
        CheckpointError: it is missing, too large, does not match its hash, or breaks the schema.
        Unreadable: it may be whole, but cannot be read now.
    """
    manifest = _open_manifest(folder)
    name, version = place or (folder.parent.name, folder.name)
    if (manifest.name, str(manifest.version)) != (name, str(version)):
        raise CheckpointError(
            f"{MANIFEST} says {manifest.name}/{manifest.version}, the folder says otherwise"
        )
    return manifest


def _open_manifest(folder: Path) -> Manifest:
    raw = _read_file(folder, MANIFEST, limit=MAX_MANIFEST_BYTES)
    return _parse_manifest(raw, _read_file(folder, MANIFEST_HASH, limit=256))


def read(folder: Path, place: tuple[str, int] | None = None) -> Checkpoint:
    """Read the checkpoint in `folder`, every file checked against the manifest; `place` as for the manifest.

    Raises:
        CheckpointError: any file is missing, changed, or of another size than the manifest says.
        Unreadable: it may be whole, but cannot be read now.
    """
    manifest = read_manifest(folder, place)
    needed = manifest.needed_files() | {PREVIEW}
    kept: dict[str, bytes] = {}
    for name, record in manifest.files.items():
        raw = _read_file(folder, name, limit=record.bytes)
        _check_file(name, raw, record)
        if name in needed:
            kept[name] = raw
    graphs = {key: kept[graph.graph] for key, graph in manifest.graphs().items()}
    golden = _read_arrays(manifest.golden.file, kept[manifest.golden.file])
    return Checkpoint(folder, manifest, graphs, golden, kept.get(PREVIEW), _read_reference(manifest, kept))


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
    return _place(
        root, manifest, {**files, MANIFEST: raw, MANIFEST_HASH: f"{sha256(raw)}  {MANIFEST}\n".encode()}
    )


def restore(root: Path, read_file: Callable[[str], bytes]) -> Path:
    """Write a checkpoint that was kept elsewhere, byte for byte, as `write` does, and return its folder.

    `read_file` returns its files by their names.

    Raises:
        CheckpointError: a file is not what the manifest says, or that version exists already.
        OSError: a file cannot be read, or the disk is full or read-only; nothing is left behind.
    """
    files = {name: read_file(name) for name in (MANIFEST, MANIFEST_HASH)}
    manifest = _parse_manifest(files[MANIFEST], files[MANIFEST_HASH])
    _free_folder(root, manifest)
    for name, record in manifest.files.items():
        files[name] = read_file(name)
        _check_file(name, files[name], record)
    return _place(root, manifest, files)


def _parse_manifest(raw: bytes, recorded: bytes) -> Manifest:
    """Return the manifest, of which `recorded` is what MANIFEST_HASH holds."""
    expected = recorded.decode("ascii", "replace").split()
    if not expected or expected[0] != sha256(raw):
        raise CheckpointError(f"{MANIFEST} does not match {MANIFEST_HASH}")
    try:
        return Manifest.model_validate_json(raw, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or MANIFEST
        raise CheckpointError(f"{MANIFEST}: {where}: {first['msg']}") from None


def _check_file(name: str, raw: bytes, record: FileRecord) -> None:
    if len(raw) != record.bytes or sha256(raw) != record.sha256:
        raise CheckpointError(f"{name} does not match its hash in {MANIFEST}")


def _place(root: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Path:
    """Write all files of a checkpoint to its folder, which is there whole or not at all."""
    target = _free_folder(root, manifest)
    target.parent.mkdir(parents=True, exist_ok=True)
    building = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    try:
        building.mkdir()
        for name, data in files.items():
            _write_synced(building / name, data)
        _sync_folder(building)
        building.rename(target)
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _free_folder(root: Path, manifest: Manifest) -> Path:
    target = root / manifest.name / str(manifest.version)
    if target.exists():
        raise CheckpointError(f"{manifest.name}/{manifest.version} exists already")
    return target


def _read_file(folder: Path, name: str, limit: int) -> bytes:
    """Return the bytes of a plain file, `limit` at most; links and special files are refused."""
    path = folder / name
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise CheckpointError(f"{name} is missing")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise CheckpointError(f"{name} is larger than {limit} bytes")
            return file.read(size)
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"{name} is missing") from None
    except OSError as error:
        raise Unreadable(f"{name} cannot be read ({error.strerror})") from None
    except MemoryError:
        raise Unreadable(f"{name} cannot be read ({os.strerror(errno.ENOMEM)})") from None


def _read_arrays(name: str, raw: bytes) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            inflated_bytes = sum(member.file_size for member in archive.zip.infolist())
            arrays = (
                {key: archive[key] for key in archive.files} if inflated_bytes <= MAX_ARRAYS_BYTES else {}
            )
    except Exception:  # noqa: BLE001 - NumPy and zipfile raise a dozen kinds for a broken archive
        raise CheckpointError(f"{name} is not an archive of plain arrays") from None
    if inflated_bytes > MAX_ARRAYS_BYTES:
        raise CheckpointError(f"{name} holds more than {MAX_ARRAYS_BYTES} bytes")
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):  # NumPy hands other files out raw
        raise CheckpointError(f"{name} is not an archive of plain arrays")
    return arrays


def _read_reference(manifest: Manifest, kept: Mapping[str, bytes]) -> Reference | None:
    record = manifest.reference
    if record is None or manifest.latent is None:
        return None
    try:
        arrays = _read_arrays(record.file, kept[record.file])
        return reference.read(arrays, record.classes, manifest.latent.size)
    except ValueError as error:
        raise CheckpointError(f"{record.file}: {error}") from None


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
