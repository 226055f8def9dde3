"""Where the checkpoints of a folder lie.

    <root>/<name>/<version>/    of many names, as training writes them
    <root>/<version>/           of one name
    <root>/                     a single one

The last two are what a folder looks like to which one model was brought, as KServe does with /mnt/models. The
name is then the one that the manifest states.
"""

from __future__ import annotations

from pathlib import Path

from service.checkpoint import files
from service.checkpoint.files import MANIFEST, CheckpointError

Versions = dict[int, Path]
"""Folders by version, highest version first."""


def of_one_name(root: Path) -> dict[str, Versions]:
    """Return the versions below `root` by the one name they have; nothing if there are folders of names.

    Raises:
        OSError: the folder cannot be read.
    """
    if (root / MANIFEST).is_file():
        name, version = _stated(root) or (root.absolute().name, 1)
        return {name: {version: root}}
    found = _versions(root)
    found = {version: folder for version, folder in found.items() if (folder / MANIFEST).is_file()}
    stated = next((one for folder in found.values() if (one := _stated(folder))), None)
    return {stated[0] if stated else root.absolute().name: found} if found else {}


def of_name(root: Path, name: str) -> Versions:
    """Return the versions of a name that has a folder in `root`.

    Raises:
        OSError: the folder cannot be read.
    """
    return _versions(root / name)


def _versions(folder: Path) -> Versions:
    return {version: folder / str(version) for version in files.versions(folder.parent, folder.name)}


def _stated(folder: Path) -> tuple[str, int] | None:
    """Return the name and version that a manifest states, if it can be read."""
    try:
        return files.identity(folder)
    except CheckpointError:
        return None
