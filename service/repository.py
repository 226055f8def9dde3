"""The checkpoints that serve: looks for them, swaps versions while requests are running, follows orders.

folder -> Repository (every few seconds) -> Model; route -> Repository.get -> Model
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service import memory, telemetry
from service.errors import NotReady, OperationNotOffered, UnknownModel
from service.folder import Entry, Folder, Wanted
from service.manifest import Manifest, Operation
from service.model import Model, load
from service.orders import OrderBook, Orders
from service.overseer import Overseer
from service.settings import Settings
from service.threads import Threads

Offer = Literal["encode", "decode", "generate", "translate", "reconstruct", "interpolate", "neighbours"]

NEEDS: dict[Offer, tuple[Operation, ...]] = {
    "encode": ("encode",),
    "decode": ("decode",),
    "generate": ("generate",),
    "translate": ("translate",),
    "reconstruct": ("encode", "decode"),
    "interpolate": ("generate",),
    "neighbours": ("encode",),
}
"""The operations a checkpoint must have for an offer; the first one's default claim counts."""

INSTEAD: dict[Offer, Operation] = {"interpolate": "decode"}
"""An operation that will do in the place of all that an offer needs."""

OF_FIXED_LATENTS: frozenset[Offer] = frozenset({"interpolate"})
"""What needs latents that are all of one shape."""

OF_REFERENCE: frozenset[Offer] = frozenset({"neighbours"})
"""What needs a reference file too."""

LOOK_EVERY_S = 0.05
"""Time from one look whether all workers have followed an order to the next."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStatus:
    """What is known about the checkpoints of one name."""

    name: str
    version: int | None
    """The version that serves, else the highest there is."""
    versions: tuple[int, ...]
    """Versions in the folder, highest first."""
    state: Literal["serving", "refused", "unloaded"]
    reason: str | None
    """Why the highest version does not serve."""
    manifest: Manifest | None
    preview: bytes | None
    """A PNG of what the serving version does, if it has one."""
    default_for: tuple[Operation, ...]
    """Operations it answers when a request names no model."""


class Repository:
    """The served models, kept up to date with a folder and with orders. Belongs to one event loop."""

    def __init__(self, settings: Settings, orders: Orders | None = None, cores: int | None = None) -> None:
        """Take the folder and the limits from `settings`; nothing is read before `start`.

        Without `orders` there are none, and none can be given; without `cores` all are used.
        """
        self._interval_s = settings.reload_interval_s
        self._threads = Threads(cores)
        self._overseer = Overseer(settings.stuck_run_s)
        self._folder = Folder(
            settings.checkpoints,
            lambda folder: load(folder, settings.queue_rows, self._threads, self._overseer, settings.device),
        )
        self._orders = orders or OrderBook(Path(os.devnull), 1).orders(0)
        self._followed: dict[str, str] = {}
        self._highest: dict[str, int] = {}
        self._looking = asyncio.Lock()
        self._news = asyncio.Event()
        self._entries: dict[str, Entry] = {}
        self._defaults: dict[Operation, str] = {}
        self._chosen: dict[tuple[str | None, Offer, str | None], Model] = {}
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is there, then keep watching the orders, and the folder if the settings say so."""
        self._overseer.start()
        await self.refresh()
        if not self._entries:
            logger.warning("no checkpoints in the folder given as checkpoints")
        self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Stop watching and let the run in progress finish."""
        if self._polling:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling
        self._threads.shutdown()
        self._overseer.stop()

    @property
    def is_stuck(self) -> bool:
        """Say whether a run goes on for ever: its thread is lost, and with it this process."""
        return self._overseer.is_stuck

    async def refresh(self, *, only_orders: bool = False) -> None:
        """Look at the folder once, or at what there are new orders for. Loading happens in a thread."""
        async with self._looking:
            asked_s, given = time.monotonic(), self._orders.read()
            only = [name for name, order in given.items() if order != self._followed.get(name)]
            wanted = Wanted(self._orders.unloaded(given), self._highest)
            entries = await asyncio.to_thread(
                self._folder.look, self._entries, wanted, only if only_orders else None
            )
            if entries != self._entries:
                self._take(entries)
            self._followed = given
            self._orders.note_followed(asked_s)

    async def hold(self, highest: Mapping[str, int]) -> None:
        """Serve no version of a name above the one given for it, and look at the folder once.

        As ever a version that is refused leaves the next lower one, or what is loaded.
        """
        self._highest = dict(highest)
        await self.refresh()

    def follow(self) -> None:
        """Look for new orders; they are followed soon."""
        asked_s = time.monotonic()
        if self._orders.read() != self._followed:
            self._news.set()
        elif not self._news.is_set():
            self._orders.note_followed(asked_s)

    async def give(self, name: str, *, serve: bool) -> ModelStatus:
        """Have every worker serve a name, and look for its versions again, or not serve it at all.

        Raises:
            UnknownModel: there is no checkpoint of that name.
        """
        if not await asyncio.to_thread(self._folder.has, name):
            raise UnknownModel
        asked_s = self._orders.give(name, serve=serve)
        while not self._orders.all_followed(asked_s):
            self.follow()
            await asyncio.sleep(LOOK_EVERY_S)
        if name not in self._entries:  # removed meanwhile
            raise UnknownModel
        return self._status(name, self._entries[name])

    def _take(self, entries: dict[str, Entry]) -> None:
        """Serve what was found."""
        loaded = {id(entry.model) for entry in self._entries.values()}
        news = any(id(entry.model) not in loaded for entry in entries.values() if entry.model)
        for name in self._entries.keys() - entries.keys():
            telemetry.MODEL_VERSION.labels(name).set(0)
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

    def models(self) -> list[Model]:
        """Return the models that serve, by name."""
        return list(self._serving().values())

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

    def _status(self, name: str, entry: Entry) -> ModelStatus:
        manifest = entry.model.manifest if entry.model else None
        return ModelStatus(
            name=name,
            version=manifest.version if manifest else max(entry.versions, default=None),
            versions=entry.versions,
            state="serving" if manifest else "unloaded" if entry.is_unloaded else "refused",
            reason=entry.reason,
            manifest=manifest,
            preview=entry.model.preview if entry.model else None,
            default_for=tuple(operation for operation, default in self._defaults.items() if default == name),
        )

    async def _poll(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s or None):
                    await self._news.wait()
            only_orders = self._news.is_set()
            self._news.clear()
            try:
                await self.refresh(only_orders=only_orders)
            except Exception:
                logger.exception("looking at the checkpoint folder failed; what is loaded keeps serving")

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
        for name, entry in self._entries.items():
            telemetry.MODEL_VERSION.labels(name).set(entry.model.manifest.version if entry.model else 0)
        telemetry.MODELS.labels("serving").set(len(serving))
        unloaded = sum(entry.is_unloaded for entry in self._entries.values())
        telemetry.MODELS.labels("unloaded").set(unloaded)
        telemetry.MODELS.labels("refused").set(len(self._entries) - len(serving) - unloaded)
        logger.info("serving %s", self)


def _offers(model: Model, offers: Offer, to: str | None) -> bool:
    manifest = model.manifest
    if not set(NEEDS[offers]) <= set(manifest.offers()) and INSTEAD.get(offers) not in manifest.offers():
        return False
    if offers in OF_REFERENCE and model.reference is None:
        return False
    if offers in OF_FIXED_LATENTS and manifest.latent is not None and manifest.latent.is_free:
        return False
    return to is None or to in (manifest.operations.translate or {})


def _lacking(manifest: Manifest, offers: Offer, to: str | None) -> str:
    if to is not None and manifest.operations.translate:
        return f"{manifest.name} translates to {', '.join(manifest.operations.translate)} only."
    if offers in OF_REFERENCE and "encode" in manifest.offers():
        return f"{manifest.name} has no reference file, so it does not offer {offers}."
    if offers in OF_FIXED_LATENTS and manifest.latent is not None and manifest.latent.is_free:
        return f"{manifest.name} has latents of no fixed size, so it does not offer {offers}."
    return f"{manifest.name} does not offer {offers}; it offers {', '.join(manifest.offers())}."
