"""The checkpoints that serve: finds them, has them verified, swaps versions while requests are running.

    folder -> Repository (every few seconds) -> Model; route -> Repository.get -> Model

Of each name the highest version that passes every check serves. A version that fails is refused with its
reason while everything else keeps serving, and what is loaded is only given up for something that works.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from service import checkpoint, memory, telemetry
from service.checkpoint import CheckpointError
from service.errors import NotReady, OperationNotOffered, UnknownModel
from service.manifest import NAME_PATTERN, Manifest, Operation
from service.model import Model, load
from service.settings import Settings
from service.threads import Threads

Offer = Literal["encode", "decode", "generate", "translate", "reconstruct", "interpolate"]

NEEDS: dict[Offer, tuple[Operation, ...]] = {
    "encode": ("encode",),
    "decode": ("decode",),
    "generate": ("generate",),
    "translate": ("translate",),
    "reconstruct": ("encode", "decode"),
    "interpolate": ("generate",),
}
"""The operations a checkpoint must have for an offer; the first one's default claim counts."""

INSTEAD: dict[Offer, Operation] = {"interpolate": "decode"}
"""An operation that will do in the place of all that an offer needs."""

BAD_NAME = "a name is made of lower-case letters, digits and hyphens, 64 at most"

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, bytes, modification time and inode of every file of a folder: equal as long as nobody touched it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStatus:
    """What is known about the checkpoints of one name."""

    name: str
    version: int | None
    """The version that serves, else the highest there is."""
    versions: tuple[int, ...]
    """Versions in the folder, highest first."""
    state: Literal["serving", "refused"]
    reason: str | None
    """Why the highest version does not serve."""
    manifest: Manifest | None
    preview: bytes | None
    """A PNG of what the serving version does, if it has one."""
    default_for: tuple[Operation, ...]
    """Operations it answers when a request names no model."""


@dataclass(frozen=True)
class _Refusal:
    fingerprint: Fingerprint
    reason: str


@dataclass(frozen=True)
class _Entry:
    """One name: the model that serves, if any, and the versions that were refused."""

    versions: tuple[int, ...]
    model: Model | None = None
    fingerprint: Fingerprint = ()
    refusals: dict[int, _Refusal] = field(default_factory=dict)

    @property
    def reason(self) -> str | None:
        """Say why a higher version than the serving one was refused."""
        if not self.refusals:
            return None
        version = max(self.refusals)
        return f"version {version}: {self.refusals[version].reason}"


class Repository:
    """The served models, kept up to date with a folder. Belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Take the folder and the limits from `settings`; nothing is read before `start`."""
        self._root = settings.checkpoints
        self._interval_s = settings.reload_interval_s
        self._queue_rows = settings.queue_rows
        self._threads = Threads()
        self._entries: dict[str, _Entry] = {}
        self._defaults: dict[Operation, str] = {}
        self._chosen: dict[tuple[str | None, Offer, str | None], Model] = {}
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is there, then keep watching the folder if the settings say so."""
        await self.refresh()
        if not self._entries:
            logger.warning("no checkpoints in the folder given as checkpoints")
        if self._interval_s:
            self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Stop watching and let the run in progress finish."""
        if self._polling:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling
        self._threads.shutdown()

    async def refresh(self) -> None:
        """Look at the folder once, and serve what is new. Loading happens in a thread."""
        entries = await asyncio.to_thread(self._scan, self._entries)
        if entries == self._entries:
            return
        loaded = {id(entry.model) for entry in self._entries.values()}
        news = any(id(entry.model) not in loaded for entry in entries.values() if entry.model)
        self._entries = entries
        self._chosen = {}
        self._settle_defaults()
        self._report()
        if news:
            memory.settle()

    def get(self, model: str | None, offers: Offer, to: str | None = None) -> Model:
        """Return the model for a request: the one it names (`name` or `name@version`), else the default.

        With `to`, only checkpoints that translate to that domain come into question.

        Raises:
            UnknownModel: no checkpoint of that name or version serves.
            OperationNotOffered: the checkpoint, or any, does not offer that.
            NotReady: nothing serves at all.
        """
        asked = model, offers, to
        if asked not in self._chosen:
            self._chosen[asked] = self._choose(model, offers, to)
        return self._chosen[asked]

    def _choose(self, model: str | None, offers: Offer, to: str | None) -> Model:
        serving = self._serving()
        if not serving:
            raise NotReady("No checkpoint is being served; GET /models says why.")
        if model is not None:
            chosen = self._named(model, serving)
            if not _offers(chosen, offers, to):
                raise OperationNotOffered(_lacking(chosen.manifest, offers, to))
            return chosen
        names = [name for name, candidate in serving.items() if _offers(candidate, offers, to)]
        if not names:
            raise OperationNotOffered(
                f"No checkpoint that is being served offers {offers}{' there' if to else ''}."
            )
        operation = NEEDS[offers][0]
        if (default := self._defaults.get(operation)) in names:
            return serving[default]
        claimants = [name for name in names if operation in serving[name].manifest.default_for]
        return serving[(claimants or names)[0]]

    def listing(self) -> list[ModelStatus]:
        """Return every checkpoint that was found, by name."""
        return [self._status(name, entry) for name, entry in sorted(self._entries.items())]

    def ready(self) -> bool:
        """Say whether any checkpoint is being served."""
        return any(entry.model for entry in self._entries.values())

    def __str__(self) -> str:
        """Name what is being served, for a line of log."""
        names = [f"{name}@{model.manifest.version}" for name, model in self._serving().items()]
        return ", ".join(names) or "no checkpoints yet"

    def _serving(self) -> dict[str, Model]:
        return {name: entry.model for name, entry in sorted(self._entries.items()) if entry.model}

    def _named(self, model: str, serving: dict[str, Model]) -> Model:
        name, _, version = model.partition("@")
        chosen = serving.get(name)
        if chosen is None:
            raise UnknownModel(f"There is no such model; known are {', '.join(serving)}.")
        current = chosen.manifest.version
        if version != str(current) and "@" in model:
            raise UnknownModel(f"That version of {name} is not being served; version {current} is.")
        return chosen

    def _status(self, name: str, entry: _Entry) -> ModelStatus:
        manifest = entry.model.manifest if entry.model else None
        return ModelStatus(
            name=name,
            version=manifest.version if manifest else max(entry.versions, default=None),
            versions=entry.versions,
            state="serving" if manifest else "refused",
            reason=entry.reason,
            manifest=manifest,
            preview=entry.model.preview if entry.model else None,
            default_for=tuple(operation for operation, default in self._defaults.items() if default == name),
        )

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.refresh()
            except Exception:
                logger.exception("looking at the checkpoint folder failed; what is loaded keeps serving")

    def _scan(self, known: dict[str, _Entry]) -> dict[str, _Entry]:
        """Return what the folder holds now, given what was known. Runs in a thread and changes nothing."""
        try:
            names = sorted(child.name for child in self._root.iterdir() if child.is_dir())
        except OSError as error:
            if known:
                logger.warning("the checkpoint folder cannot be read (%s)", type(error).__name__)
            return known
        entries = {}
        for name in names:
            if name.isprintable() and not name.startswith("."):
                entry = self._scan_name(name, known.get(name, _Entry(())))
                if entry.versions:
                    entries[name] = entry
        return entries

    def _scan_name(self, name: str, known: _Entry) -> _Entry:
        """Settle on the highest version of a name that serves or can be loaded."""
        try:
            versions = tuple(checkpoint.versions(self._root, name))
        except OSError as error:
            logger.warning("the checkpoints of %s cannot be read (%s)", name, type(error).__name__)
            return known
        if versions and not re.fullmatch(NAME_PATTERN, name):
            return _Entry(versions, refusals={versions[0]: _Refusal((), BAD_NAME)})
        refusals: dict[int, _Refusal] = {}
        for version in versions:
            folder = self._root / name / str(version)
            fingerprint = _fingerprint(folder)
            serves = known.model is not None and known.model.manifest.version == version
            if serves and fingerprint == known.fingerprint:
                return _Entry(versions, known.model, fingerprint, refusals)
            refusal = known.refusals.get(version)
            if refusal is None or refusal.fingerprint != fingerprint:
                loaded = self._load(folder, fingerprint)
                if isinstance(loaded, Model):
                    return _Entry(versions, loaded, fingerprint, refusals)
                refusal = loaded
            refusals[version] = refusal
            if serves:  # spoilt on disk, but the copy in memory was verified
                return _Entry(versions, known.model, known.fingerprint, refusals)
        return _Entry(versions, None, (), refusals)

    def _load(self, folder: Path, fingerprint: Fingerprint) -> Model | _Refusal:
        try:
            return load(folder, self._queue_rows, self._threads)
        except CheckpointError as error:
            reason = str(error)
        except Exception:
            # A hostile file may break any parser in any way, and must not take the others along.
            logger.exception("loading %s/%s failed", folder.parent.name, folder.name)
            reason = "it cannot be loaded"
        logger.warning("refused %s/%s: %s", folder.parent.name, folder.name, reason)
        return _Refusal(fingerprint, reason)

    def _settle_defaults(self) -> None:
        """Give every operation to the first by name of those that claim it."""
        self._defaults = {}
        serving = self._serving()
        for operation in ("encode", "decode", "generate", "translate"):
            claimants = [name for name, model in serving.items() if operation in model.manifest.default_for]
            if not claimants:
                continue
            self._defaults[operation] = claimants[0]
            if len(claimants) > 1:
                logger.warning("%s all claim to be default for %s; %s is", claimants, operation, claimants[0])

    def _report(self) -> None:
        serving = self._serving()
        telemetry.MODELS.labels("serving").set(len(serving))
        telemetry.MODELS.labels("refused").set(len(self._entries) - len(serving))
        logger.info("serving %s", self)


def _offers(model: Model, offers: Offer, to: str | None) -> bool:
    manifest = model.manifest
    if not set(NEEDS[offers]) <= set(manifest.offers()) and INSTEAD.get(offers) not in manifest.offers():
        return False
    return to is None or to in (manifest.operations.translate or {})


def _lacking(manifest: Manifest, offers: Offer, to: str | None) -> str:
    if to is not None and manifest.operations.translate:
        return f"{manifest.name} translates to {', '.join(manifest.operations.translate)} only."
    return f"{manifest.name} does not offer {offers}; it offers {', '.join(manifest.offers())}."


def _fingerprint(folder: Path) -> Fingerprint:
    try:
        with os.scandir(folder) as files:
            stats = [(file.name, file.stat()) for file in files]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats))
