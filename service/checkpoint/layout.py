"""Where the checkpoints of a folder lie.

    <root>/<name>/<version>/    of many names, as training writes them
    <root>/<version>/           of one name
    <root>/                     a single one

The last two are what a folder looks like to which one model was brought, as KServe does with /mnt/models. The
name is then the one that the manifest states.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable
from pathlib import Path

from service.checkpoint import files
from service.checkpoint.files import MANIFEST, CheckpointError, Unreadable

ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""What says that there is no file; others say that nobody can know now."""

Versions = dict[int, Path]
"""Folders by version, highest version first."""


def of_one_name(root: Path) -> dict[str, Versions]:
    """Return the versions below `root` by the one name they have; nothing if there are folders of names.

    Raises:
        OSError: the folder cannot be read.
    """
    if _holds_manifest(root):
        name, version = _stated([root]) or (root.absolute().name, 1)
        return {name: {version: root}}
    found = {version: folder for version, folder in _versions(root).items() if _holds_manifest(folder)}
    stated = _stated(found.values())
    return {stated[0] if stated else root.absolute().name: found} if found else {}


def of_name(root: Path, name: str) -> Versions:
    """Return the versions of a name that has a folder in `root`.

    Raises:
        OSError: the folder cannot be read.
    """
    return _versions(root / name)


def _versions(folder: Path) -> Versions:
    return {version: folder / str(version) for version in files.versions(folder.parent, folder.name)}


def _holds_manifest(folder: Path) -> bool:
    """Say whether a folder is a checkpoint; `is_file` would say no where nobody can know."""
    try:
        return stat.S_ISREG((folder / MANIFEST).stat().st_mode)
    except OSError as error:
        if error.errno not in ABSENT:
            raise
        return False


def _stated(folders: Iterable[Path]) -> tuple[str, int] | None:
    """Return the name and version of the first manifest that is whole.

    Raises:
        OSError: there is none, but one of them cannot be read now.
    """
    unreadable = None
    for folder in folders:
        try:
            return files.identity(folder)
        except Unreadable as error:
            unreadable = error
        except CheckpointError:
            pass
    if unreadable:
        raise OSError(str(unreadable))
    return None
