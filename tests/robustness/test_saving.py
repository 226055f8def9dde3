"""Writing checkpoints: while they are read, killed in between, on a full disk, into a read-only folder."""

import errno
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from service import checkpoint
from support.faulty_disks import read_only, small_disk
from support.tiny_checkpoints import describe_tiny
from tools.robustness_table import Measured, forms

OFFERED = ("decode",)


def save(root: Path, version: int) -> None:
    description, files = describe_tiny(operations=OFFERED)
    checkpoint.write(root, description | {"version": version}, files)


def save_many(root: Path, saves: int) -> None:
    description, files = describe_tiny(operations=OFFERED)
    for version in range(1, saves + 1):
        checkpoint.write(root, description | {"version": version}, files)


@forms("saves", short=100, full=1000)
def test_a_reader_sees_whole_checkpoints_only(tmp_path: Path, saves: int, measured: Measured):
    writer = multiprocessing.get_context("fork").Process(target=save_many, args=(tmp_path, saves))
    writer.start()
    latest = looks = 0
    while latest < saves:
        assert writer.exitcode in (None, 0)
        new = [version for version in checkpoint.versions(tmp_path, "tiny") if version > latest]
        for version in new:
            checkpoint.read(tmp_path / "tiny" / str(version))
        latest = max(new, default=latest)
        looks += 1
    writer.join()
    measured(22, f"{saves:,} saves read in {looks:,} looks while they were written, 0 partial")
    assert looks > saves / 10


def die_at(event_number: int, root: Path) -> None:
    """Save, and be killed at an event: the opening, renaming or removing of a file or folder."""
    count = 0

    def audit(event: str, _: tuple[Any, ...]) -> None:
        nonlocal count
        if event in ("open", "os.mkdir", "os.rename", "os.scandir", "os.rmdir", "shutil.rmtree"):
            count += 1
            if count == event_number:
                os.kill(os.getpid(), signal.SIGKILL)

    description, files = describe_tiny(operations=OFFERED)
    sys.addaudithook(audit)
    checkpoint.write(root, description | {"version": 2}, files)


def test_a_writer_killed_at_any_step_leaves_whole_checkpoints_only(tmp_path: Path):
    save(tmp_path, 1)
    killed, found = 0, set()
    for event_number in range(1, 100):
        writer = multiprocessing.get_context("fork").Process(target=die_at, args=(event_number, tmp_path))
        writer.start()
        writer.join()
        present = checkpoint.versions(tmp_path, "tiny")
        for version in present:
            checkpoint.read(tmp_path / "tiny" / str(version))
        found.add(tuple(present))
        if writer.exitcode == 0:
            break
        killed += 1
        if present[0] == 2:
            checkpoint_two = tmp_path / "tiny" / "2"
            checkpoint_two.rename(tmp_path / f"done-{event_number}")
    assert writer.exitcode == 0, "no writer got to its end"
    assert killed >= 6
    assert found == {(1,), (2, 1)}


def test_a_full_disk_leaves_the_old_version_and_nothing_else(tmp_path: Path):
    root = tmp_path / "checkpoints"
    root.mkdir()
    description, files = describe_tiny(operations=OFFERED)
    with small_disk(root, 256 << 10):
        checkpoint.write(root, description, files)
        large = files | {"weights.safetensors": bytes(1 << 20)}
        with pytest.raises(OSError, match=r"space|large") as caught:
            checkpoint.write(root, description | {"version": 2}, large)
        assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)
        assert [child.name for child in (root / "tiny").iterdir()] == ["1"]
        checkpoint.read(root / "tiny" / "1")


def test_a_read_only_folder_is_an_error_that_names_it(tmp_path: Path):
    root = tmp_path / "checkpoints"
    root.mkdir()
    with read_only(root), pytest.raises(OSError, match="checkpoints") as caught:
        save(root, 1)
    assert caught.value.errno in (errno.EROFS, errno.EACCES)
