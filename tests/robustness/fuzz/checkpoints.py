"""Atheris on the checkpoint reader: python tests/robustness/fuzz/checkpoints.py -runs=100000 folder

The bytes become one file of a checkpoint whose hashes all fit; it is read, or there is a CheckpointError.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["service"]):
    from service import checkpoint
    from service.checkpoint import CheckpointError
    from service.checkpoint.manifest import Manifest

from support.tiny_checkpoints import write_tiny

ROOT = tempfile.TemporaryDirectory()
FOLDER = write_tiny(Path(ROOT.name), operations=("decode",))
MANIFEST = (FOLDER / checkpoint.MANIFEST).read_bytes()
GOLDEN = (FOLDER / "golden.npz").read_bytes()


def seal(manifest: bytes) -> None:
    """Write a manifest and its hash."""
    (FOLDER / checkpoint.MANIFEST).write_bytes(manifest)
    (FOLDER / checkpoint.MANIFEST_HASH).write_text(checkpoint.sha256(manifest))


def as_manifest(raw: bytes) -> None:
    """Let the bytes be the manifest."""
    (FOLDER / "golden.npz").write_bytes(GOLDEN)
    seal(raw)


def as_golden_sample(raw: bytes) -> None:
    """Let the bytes be the golden sample, as a manifest says that is right."""
    manifest = Manifest.model_validate_json(MANIFEST)
    record = manifest.files["golden.npz"].model_copy(
        update={"sha256": checkpoint.sha256(raw), "bytes": len(raw)}
    )
    files = {**manifest.files, "golden.npz": record}
    (FOLDER / "golden.npz").write_bytes(raw)
    seal(manifest.model_copy(update={"files": files}).model_dump_json(by_alias=True).encode())


def as_hash(raw: bytes) -> None:
    """Let the bytes be the manifest's hash."""
    as_manifest(MANIFEST)
    (FOLDER / checkpoint.MANIFEST_HASH).write_bytes(raw)


KINDS = (as_manifest, as_golden_sample, as_hash)


def read(raw: bytes) -> None:
    """Try one file; its first byte says which it is."""
    KINDS[raw[0] % len(KINDS) if raw else 0](raw[1:])
    try:
        found = checkpoint.read(FOLDER)
    except CheckpointError:
        return
    assert found.manifest.name == "tiny"


atheris.Setup(sys.argv, read)
atheris.Fuzz()
