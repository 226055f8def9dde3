"""Disks that are full, and folders that cannot be written."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.requirements import lacking


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """Let `folder` hold so much and no more; where nothing can be mounted, no file may become so large."""
    if mount(folder, f"size={size_bytes}"):
        try:
            yield
        finally:
            unmount(folder)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write into `folder`; root is stopped by a mount alone."""
    if os.geteuid():
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)
    elif mount(folder, "ro"):
        try:
            yield
        finally:
            unmount(folder)
    else:
        lacking("the right to mount", "run the tests as another user, or as a root that may mount")


def mount(folder: Path, options: str) -> bool:
    """Mount an empty file system in memory; say whether that could be done."""
    if os.geteuid():
        return False
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
