"""The folder of files that all processes of one service use; it goes with them, or at the next start.

launch -> shared_folder -> supervisor and workers
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own is made in it
"""Where it is, if the system has that and it has room: nothing deletes files there while they are in use."""

PREFIX = "latent-service-"

DRIFT = "drift"
"""The folder in it of what the workers keep of live latents."""

LOCK = "lock"
"""The file in it that is locked while the service runs: every process of it has inherited the lock."""

ROOM_BYTES = 1 << 20
"""Room that there has to be."""

logger = logging.getLogger(__name__)


class NoRoom(Exception):
    """There is no place for it; the message is one line that says where there might be."""


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Make the folder, and remove it with all that is in it in the end.

    Raises:
        NoRoom: no folder for temporary files has room.
    """
    failures = []
    for parent in _parents():
        _remove_left_behind(parent)
        try:
            folder, lock = _make(parent)
        except OSError as error:
            failures.append(f"{parent} ({error.strerror})")
            continue
        if failures:
            logger.warning(
                "what the workers share is in %s, since there is no room in %s", parent, failures[0]
            )
        with lock:
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return
    raise NoRoom(f"no folder for temporary files has room: {', '.join(failures)}; TMPDIR names another")


def _parents() -> list[Path]:
    parents = [Path(SHARED_MEMORY)] if Path(SHARED_MEMORY).is_dir() else []
    with suppress(FileNotFoundError):  # there is none
        parents.append(Path(tempfile.gettempdir()))
    return parents


def _make(parent: Path) -> tuple[Path, BinaryIO]:
    """Make a folder in `parent` and return it with its lock; it has its name once it is locked."""
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    try:
        (made / DRIFT).mkdir()
        (made / LOCK).write_bytes(bytes(ROOM_BYTES))  # only what is written is known to have room
        lock = (made / LOCK).open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
        return made.rename(parent / made.name.removeprefix(".")), lock
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _remove_left_behind(parent: Path) -> None:
    """Remove what services left that were killed: what nobody has locked any more."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is in use, or another removes it too
            if folder.lstat().st_uid == os.geteuid():
                with (folder / LOCK).open("rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
