"""The folder of checkpoints: what a scan of it finds, and which versions can be loaded.

    checkpoints/ -> layout -> Folder.scan -> Entry, one per name -> repository

Of each name the highest versions that pass every check are chosen, as many as are to be kept. One that fails
is refused with its reason, and what is loaded is only given up for something that works.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.checkpoint import CheckpointError, Unreadable, layout
from service.checkpoint.manifest import NAME_PATTERN
from service.coordination.desired_state import mark
from service.inference.model import Model

BAD_NAME = "a name is made of lower-case letters, digits and hyphens, 64 at most"

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, bytes, modification time and inode of every file of a folder: equal as long as nobody touched it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """Why a version is not served, for as long as its files stay the same."""

    fingerprint: Fingerprint
    reason: str
    is_passing: bool = False
    """It may be gone with the next scan, though the files stay the same."""


@dataclass(frozen=True)
class Loaded:
    """A version that can serve, and the files it was made of."""

    fingerprint: Fingerprint
    model: Model


@dataclass(frozen=True)
class Entry:
    """One name: the versions that can serve, and those that were refused."""

    versions: tuple[int, ...]
    """In the folder, highest first."""
    loaded: dict[int, Loaded] = field(default_factory=dict)
    """By version, highest first."""
    refusals: dict[int, Refusal] = field(default_factory=dict)
    is_unloaded: bool = False
    """It is not to serve."""

    @property
    def models(self) -> list[Model]:
        """Return what can serve, highest version first."""
        return [one.model for one in self.loaded.values()]

    @property
    def model(self) -> Model | None:
        """Return what answers to the name without a version, if anything does."""
        return next(iter(self.models), None)

    @property
    def reason(self) -> str | None:
        """Say why a version does not serve, the highest of those that are refused."""
        if self.is_unloaded:
            return "it was unloaded"
        if not self.refusals:
            return None
        version = max(self.refusals)
        return f"version {version}: {self.refusals[version].reason}"


@dataclass(frozen=True)
class Wanted:
    """What somebody asked for, other than the highest version of every name."""

    unloaded: Collection[int] = ()
    """Names that are not to serve, by their marks."""
    again: Collection[int] = ()
    """Those that were ordered since the last scan: what was refused of them is tried again."""
    highest: Mapping[str, int] = field(default_factory=dict)
    """The highest version of a name that may serve."""


class Folder:
    """A folder of checkpoints; `load` makes models of them."""

    def __init__(
        self, root: Path, keep_versions: int, load: Callable[[Path, tuple[str, int]], Model]
    ) -> None:
        """Choose the `keep_versions` highest versions of each name that can be loaded."""
        self._root = root
        self._keep_versions = keep_versions
        self._load_model = load
        self._unreadable: dict[str, str] = {}
        """What could not be read at the last scan, and why."""

    def why_empty(self) -> str:
        """Say where it is and why there is no checkpoint in it, for a line of log."""
        where = self._root.absolute()
        try:
            with os.scandir(self._root):
                return f"{where} holds none"
        except FileNotFoundError:
            return f"{where} does not exist"
        except OSError as error:
            return f"{where} cannot be read ({error.strerror})"

    def has(self, name: str) -> bool:
        """Say whether there is a checkpoint of this name, which may be any text."""
        if not re.fullmatch(NAME_PATTERN, name):
            return False
        return name in layout.of_one_name(self._root) or bool(layout.of_name(self._root, name))

    def scan(
        self,
        known: Mapping[str, Entry],
        serving: Mapping[str, Entry],
        wanted: Wanted,
        *,
        only_again: bool = False,
    ) -> dict[str, Entry]:
        """Return what the folder holds now, given what is known since the last scan and what serves.

        With `only_again`, what is known of all names but those stays. Takes long: call it in a thread.
        """
        try:
            alone = layout.of_one_name(self._root)
            names = alone or sorted(child.name for child in self._root.iterdir())
        except OSError as error:
            if known:
                self._note_unreadable("the checkpoint folder", error)
            return dict(known)
        self._unreadable.pop("the checkpoint folder", None)
        entries = {}
        for name in names:
            if name.isprintable() and not name.startswith("."):
                entry = known.get(name, Entry(()))
                is_again = mark(name) in wanted.again
                if is_again:
                    entry = replace(entry, refusals={})
                if is_again or not only_again:
                    entry = self._scan_name(name, alone.get(name), entry, serving.get(name), wanted)
                if entry.versions:
                    entries[name] = entry
        return entries

    def _scan_name(
        self,
        name: str,
        folders: layout.Versions | None,
        known: Entry,
        serving: Entry | None,
        wanted: Wanted,
    ) -> Entry:
        """Settle on what there is of a name."""
        try:
            folders = folders or layout.of_name(self._root, name)
        except OSError as error:
            reason = self._note_unreadable(f"the folder {name}", error)
            return replace(known, refusals={version: Refusal((), reason) for version in known.versions[:1]})
        self._unreadable.pop(f"the folder {name}", None)
        versions = tuple(folders)
        if mark(name) in wanted.unloaded:
            return Entry(versions, is_unloaded=True)
        if versions and not re.fullmatch(NAME_PATTERN, name):
            return Entry(versions, refusals={versions[0]: Refusal((), BAD_NAME)})
        loaded = {**(serving.loaded if serving else {}), **known.loaded}
        highest = wanted.highest.get(name, versions[0] if versions else 0)
        entry = self._choose(name, folders, loaded, known.refusals, highest)
        if versions and versions[-1] > highest:
            entry.refusals[versions[0]] = Refusal((), f"no version above {highest} is to serve")
        if not entry.loaded:  # what is loaded is only given up for something that works
            entry.loaded.update({version: loaded[version] for version in versions if version in loaded})
        return entry

    def _choose(
        self,
        name: str,
        folders: layout.Versions,
        known: Mapping[int, Loaded],
        refusals: Mapping[int, Refusal],
        highest: int,
    ) -> Entry:
        """Settle on the highest versions of a name, up to `highest`, that serve or can be loaded."""
        entry = Entry(tuple(folders))
        for version, folder in folders.items():
            if len(entry.loaded) == self._keep_versions:
                break
            if version > highest:
                continue
            fingerprint = _fingerprint(folder)
            loaded = known.get(version)
            if loaded is None or loaded.fingerprint != fingerprint:
                found = self._load(folder, (name, version), fingerprint, refusals.get(version))
                if isinstance(found, Refusal):  # what was loaded before was verified, and stays
                    entry.refusals[version] = found
                else:
                    loaded = found
            if loaded is not None:
                entry.loaded[version] = loaded
        return entry

    def _load(
        self, folder: Path, place: tuple[str, int], fingerprint: Fingerprint, before: Refusal | None
    ) -> Loaded | Refusal:
        """Load a version, unless these very files were refused before for what they are."""
        if before is not None and before.fingerprint == fingerprint and not before.is_passing:
            return before
        is_passing = False
        try:
            return Loaded(fingerprint, self._load_model(folder, place))
        except CheckpointError as error:
            reason, is_passing = str(error), isinstance(error, Unreadable)
        except Exception:
            # A hostile file may break any parser in any way, and must not take the others along.
            logger.exception("loading %s/%s failed", *place)
            reason = "it cannot be loaded"
        refusal = Refusal(fingerprint, reason, is_passing)
        if refusal != before:
            logger.warning("refused %s/%s: %s", *place, reason)
        return refusal

    def _note_unreadable(self, what: str, error: OSError) -> str:
        """Return why something cannot be read; log it once, until it can be or the reason is another."""
        reason = f"{what} cannot be read ({error.strerror or error})"
        if self._unreadable.get(what) != reason:
            logger.warning("%s", reason)
        self._unreadable[what] = reason
        return reason


def _fingerprint(folder: Path) -> Fingerprint:
    try:
        with os.scandir(folder) as files:
            stats = [(file.name, file.stat()) for file in files]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats))
