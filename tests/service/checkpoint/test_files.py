"""Checkpoint: whole and as its manifest says, or refused."""

import io
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service import checkpoint
from service.checkpoint import CheckpointError
from support.hostile_checkpoints import GOLDEN, rename_graph, reseal, write_disguised
from support.tiny_checkpoints import describe_tiny, write_tiny


def test_what_is_written_is_read(tmp_path: Path):
    description, files = describe_tiny(
        "tiny", 3, classes=("x", "y"), domains=("a", "b"), default_for=("encode",)
    )
    folder = checkpoint.write(tmp_path, description, files)
    assert folder == tmp_path / "tiny" / "3"
    found = checkpoint.read(folder)
    assert found.manifest.offers() == ("encode", "decode", "generate", "translate")
    assert found.manifest.default_for == ("encode",)
    assert found.graphs == {
        name.removesuffix(".onnx"): data for name, data in files.items() if "onnx" in name
    }
    assert found.golden["translate.b.in.images"].shape == (1, 1, 8, 8)


def test_writing_leaves_nothing_but_the_version(tmp_path: Path):
    folder = write_tiny(tmp_path)
    assert [child.name for child in folder.parent.iterdir()] == ["1"]


def test_version_is_never_written_twice(tmp_path: Path):
    folder = write_tiny(tmp_path)
    before = (folder / checkpoint.MANIFEST).read_bytes()
    with pytest.raises(CheckpointError, match="exists already"):
        write_tiny(tmp_path, seed=1)
    assert (folder / checkpoint.MANIFEST).read_bytes() == before
    assert checkpoint.next_version(tmp_path, "tiny") == 2


def test_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_tiny(tmp_path)
    assert list((tmp_path / "tiny").iterdir()) == []


def test_truncation_anywhere_is_refused(tmp_path: Path):
    folder = write_tiny(tmp_path)
    dice = random.Random(0)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for length in [0, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(20))]:
            if path.name == checkpoint.MANIFEST_HASH and length >= 64:
                continue  # the hash itself is whole
            path.write_bytes(whole[:length])
            with pytest.raises(CheckpointError):
                checkpoint.read(folder)
        path.write_bytes(whole)
    checkpoint.read(folder)


def test_flipped_bit_anywhere_is_refused(tmp_path: Path):
    folder = write_tiny(tmp_path)
    dice = random.Random(1)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        end = 64 if path.name == checkpoint.MANIFEST_HASH else len(whole)
        for _ in range(100):
            spoilt = bytearray(whole)
            spoilt[dice.randrange(end)] ^= 1 << dice.randrange(8)
            path.write_bytes(spoilt)
            with pytest.raises(CheckpointError):
                checkpoint.read(folder)
        path.write_bytes(whole)
    checkpoint.read(folder)


@pytest.mark.parametrize("name", ["checkpoint.json", "checkpoint.sha256", "decode.onnx", "golden.npz"])
def test_missing_file_is_refused(tmp_path: Path, name: str):
    folder = write_tiny(tmp_path)
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        checkpoint.read(folder)


@pytest.mark.parametrize("name", ["checkpoint.json", "decode.onnx"])
def test_link_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str):
    folder = write_tiny(tmp_path)
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        checkpoint.read(folder)


@pytest.mark.parametrize("name", ["tiny/2", "other/1"])
def test_checkpoint_in_a_folder_of_another_name_is_refused(tmp_path: Path, name: str):
    shutil.copytree(write_tiny(tmp_path), tmp_path / name)
    with pytest.raises(CheckpointError, match="the folder says otherwise"):
        checkpoint.read(tmp_path / name)


def set_in(*path: str | int) -> Callable[[dict[str, Any]], None]:
    *keys, last, value = path

    def change(manifest: Any) -> None:
        for key in keys:
            manifest = manifest[key]
        manifest[last] = value

    return change


LIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "path out of the folder": rename_graph("../../../etc/passwd"),
    "absolute path": rename_graph("/etc/passwd"),
    "hidden file": rename_graph(".decode.onnx"),
    "file that is not there": rename_graph("gone.onnx"),
    "other schema": set_in("schema", 2),
    "version as text": set_in("version", "1"),
    "unknown field": set_in("pickle", True),
    "no operation": set_in("operations", {}),
    "default for what it lacks": set_in("default_for", ["translate"]),
    "no latent": set_in("latent", None),
    "latent of another shape": set_in("latent", "shape", [5]),
    "latent without axes": set_in("latent", "shape", []),
    "image of another size": set_in("image", "height", 9),
    "image of two channels": set_in("image", "channels", 2),
    "range upside down": set_in("image", "range", [1.0, 0.0]),
    "classes its graph does not know": set_in("classes", ["x", "y"]),
    "tensor by another name": set_in("operations", "decode", "inputs", 0, "name", "codes"),
    "tensor of another type": set_in("operations", "decode", "inputs", 0, "dtype", "int64"),
    "graph without outputs": set_in("operations", "decode", "outputs", []),
    "batch of zero": set_in("operations", "decode", "preferred_batch", 0),
    "file larger than it is": set_in("files", "decode.onnx", "bytes", 10**18),
    "file larger than any graph": set_in("files", "decode.onnx", "bytes", 2**31),
    "file beyond counting": set_in("files", "decode.onnx", "bytes", 10**30),
    "file smaller than it is": set_in("files", "decode.onnx", "bytes", 3),
    "file with another hash": set_in("files", "decode.onnx", "sha256", "0" * 64),
    "golden sample elsewhere": set_in("golden", "file", "other.npz"),
}


@pytest.mark.parametrize("lie", LIES)
def test_manifest_that_lies_is_refused(tmp_path: Path, lie: str):
    folder = write_tiny(tmp_path)
    reseal(folder, lambda _: None)
    checkpoint.read(folder)
    reseal(folder, LIES[lie])
    with pytest.raises(CheckpointError):
        checkpoint.read(folder)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b"{" + b" " * (1 << 20)])
def test_manifest_that_is_no_manifest_is_refused(tmp_path: Path, raw: bytes):
    folder = write_tiny(tmp_path)
    (folder / checkpoint.MANIFEST).write_bytes(raw)
    (folder / checkpoint.MANIFEST_HASH).write_text(checkpoint.sha256(raw))
    with pytest.raises(CheckpointError, match=checkpoint.MANIFEST):
        checkpoint.read(folder)


@pytest.mark.parametrize("disguise", GOLDEN)
def test_pickle_in_the_golden_sample_is_refused_and_not_run(tmp_path: Path, disguise: str):
    canary = tmp_path / "sung"
    folder = write_disguised(tmp_path, "tiny", GOLDEN[disguise], canary)
    with pytest.raises(CheckpointError, match="archive of plain arrays"):
        checkpoint.read(folder)
    assert not canary.exists()


def test_golden_sample_that_inflates_to_fill_the_memory_is_refused(tmp_path: Path):
    description, files = describe_tiny()
    bomb = io.BytesIO()
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("decode.in.latents.npy", "w") as member,
    ):
        for _ in range(checkpoint.MAX_ARRAYS_BYTES // (1 << 20) + 1):
            member.write(bytes(1 << 20))
    folder = checkpoint.write(tmp_path, description, files | {"golden.npz": bomb.getvalue()})
    with pytest.raises(CheckpointError, match=f"holds more than {checkpoint.MAX_ARRAYS_BYTES} bytes"):
        checkpoint.read(folder)


def test_writer_refuses_a_manifest_that_breaks_the_schema(tmp_path: Path):
    description, files = describe_tiny()
    with pytest.raises(ValidationError):
        checkpoint.write(tmp_path, description | {"name": "../escape"}, files)
    assert list(tmp_path.iterdir()) == []


def test_only_numbers_are_versions(tmp_path: Path):
    for name in ("1", "10", "2", "0", "01", "-3", "1.5", ".4.abcd", "latest", "99999999999"):
        (tmp_path / "tiny" / name).mkdir(parents=True)
    assert checkpoint.versions(tmp_path, "tiny") == [10, 2, 1]
    assert checkpoint.versions(tmp_path, "nothing") == []
