"""The folder of checkpoints: what a look at it finds, and which versions can be loaded.

    checkpoints/<name>/<version>/ -> Folder.look -> Entry, one per name -> repository

Of each name the highest version that passes every check is chosen. One that fails is refused with its reason,
and what is loaded is only given up for something that works.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service import checkpoint
from service.checkpoint import CheckpointError
from service.manifest import NAME_PATTERN
from service.model import Model

BAD_NAME = "a name is made of lower-case letters, digits and hyphens, 64 at most"

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, bytes, modification time and inode of every file of a folder: equal as long as nobody touched it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """Why a version is not served, for as long as its files stay the same."""

    fingerprint: Fingerprint
    reason: str


@dataclass(frozen=True)
class Entry:
    """One name: the model that serves, if any, and the versions that were refused."""

    versions: tuple[int, ...]
    """In the folder, highest first."""
    model: Model | None = None
    fingerprint: Fingerprint = ()
    refusals: dict[int, Refusal] = field(default_factory=dict)
    is_unloaded: bool = False
    """It is not to serve."""

    @property
    def reason(self) -> str | None:
        """Say why a higher version than the serving one does not serve."""
        if self.is_unloaded:
            return "it was unloaded"
        if not self.refusals:
            return None
        version = max(self.refusals)
        return f"version {version}: {self.refusals[version].reason}"


@dataclass(frozen=True)
class Wanted:
    """What somebody asked for, other than the highest version of every name."""

    unloaded: Collection[str] = ()
    """Names that are not to serve."""
    highest: Mapping[str, int] = field(default_factory=dict)
    """The highest version of a name that may serve."""


class Folder:
    """A folder of checkpoints; `load` makes models of them."""

    def __init__(self, root: Path, load: Callable[[Path], Model]) -> None:
        self._root = root
        self._load_model = load

    def has(self, name: str) -> bool:
        """Say whether there is a checkpoint of this name, which may be any text."""
        return bool(re.fullmatch(NAME_PATTERN, name) and checkpoint.versions(self._root, name))

    def look(
        self, known: Mapping[str, Entry], wanted: Wanted, only: Collection[str] | None = None
    ) -> dict[str, Entry]:
        """Return what the folder holds now, given what was known.

        With `only`, what is known of all other names stays. Takes long: call it in a thread.
        """
        try:
            names = sorted(child.name for child in self._root.iterdir() if child.is_dir())
        except OSError as error:
            if known:
                logger.warning("the checkpoint folder cannot be read (%s)", type(error).__name__)
            return dict(known)
        entries = {}
        for name in names:
            if name.isprintable() and not name.startswith("."):
                entry = known.get(name, Entry(()))
                if only is None or name in only:
                    entry = self._look_at(name, entry, wanted)
                if entry.versions:
                    entries[name] = entry
        return entries

    def _look_at(self, name: str, known: Entry, wanted: Wanted) -> Entry:
        """Settle on what there is of a name."""
        try:
            versions = tuple(checkpoint.versions(self._root, name))
        except OSError as error:
            logger.warning("the checkpoints of %s cannot be read (%s)", name, type(error).__name__)
            return known
        if name in wanted.unloaded:
            return Entry(versions, is_unloaded=True)
        if versions and not re.fullmatch(NAME_PATTERN, name):
            return Entry(versions, refusals={versions[0]: Refusal((), BAD_NAME)})
        return self._choose(name, versions, known, wanted.highest.get(name, math.inf))

    def _choose(self, name: str, versions: tuple[int, ...], known: Entry, highest: float) -> Entry:
        """Settle on the highest version of a name, up to `highest`, that serves or can be loaded."""
        refusals: dict[int, Refusal] = {}
        held = tuple(version for version in versions if version > highest)
        if held and held == versions:
            refusals[versions[0]] = Refusal((), f"no version above {highest} is to serve")
        for version in versions[len(held) :]:
            folder = self._root / name / str(version)
            fingerprint = _fingerprint(folder)
            serves = known.model is not None and known.model.manifest.version == version
            if serves and fingerprint == known.fingerprint:
                return Entry(versions, known.model, fingerprint, refusals)
            refusal = known.refusals.get(version)
            if refusal is None or refusal.fingerprint != fingerprint:
                loaded = self._load(folder, fingerprint)
                if isinstance(loaded, Model):
                    return Entry(versions, loaded, fingerprint, refusals)
                refusal = loaded
            refusals[version] = refusal
            if serves:  # spoilt on disk, but the copy in memory was verified
                return Entry(versions, known.model, known.fingerprint, refusals)
        if known.model is not None and known.model.manifest.version in held:
            return Entry(versions, known.model, known.fingerprint, refusals)
        return Entry(versions, None, (), refusals)

    def _load(self, folder: Path, fingerprint: Fingerprint) -> Model | Refusal:
        try:
            return self._load_model(folder)
        except CheckpointError as error:
            reason = str(error)
        except Exception:
            # A hostile file may break any parser in any way, and must not take the others along.
            logger.exception("loading %s/%s failed", folder.parent.name, folder.name)
            reason = "it cannot be loaded"
        logger.warning("refused %s/%s: %s", folder.parent.name, folder.name, reason)
        return Refusal(fingerprint, reason)


def _fingerprint(folder: Path) -> Fingerprint:
    try:
        with os.scandir(folder) as files:
            stats = [(file.name, file.stat()) for file in files]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats))
