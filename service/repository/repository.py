"""The checkpoints that serve: looks for them, swaps versions while requests are running, follows orders.

    folder -> Repository (every few seconds) -> Catalogue -> Model; route -> Repository.get -> Model

What a look has found serves once every worker has found the same (agreement.py): until then the models from
before answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from service.coordination.agreement import Agreement, Vote
from service.coordination.orders import OrderBook, Orders
from service.errors import NotReady, UnknownModel
from service.inference.loading import load
from service.inference.model import Model
from service.inference.run_watchdog import RunWatchdog
from service.inference.thread_pools import ThreadPools
from service.observability import metrics
from service.repository.capabilities import Capability
from service.repository.catalogue import Catalogue, ModelStatus
from service.repository.folder_scan import Folder, Wanted
from service.runtime import memory
from service.settings import Settings

CHECK_EVERY_S = 0.05
"""Time from one look whether all workers have followed an order, or found the same, to the next."""

logger = logging.getLogger(__name__)


class Repository:
    """The served models, kept up to date with a folder and with orders. Belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        orders: Orders | None = None,
        vote: Vote | None = None,
        cores: int | None = None,
    ) -> None:
        """Take the folder and the limits from `settings`; nothing is read before `start`.

        Without `orders` there are none, and none can be given; without a `vote` there are no other workers;
        without `cores` all are used.
        """
        self._interval_s = settings.reload_interval_s
        self._threads = ThreadPools(cores)
        self._watchdog = RunWatchdog(settings.stuck_run_s)
        self._folder = Folder(
            settings.checkpoints,
            settings.keep_versions,
            lambda folder, place: load(
                folder, settings.queue_rows, self._threads, self._watchdog, settings.device, place
            ),
        )
        self._orders = orders or OrderBook(Path(os.devnull), 1).orders(0)
        self._vote = vote or Agreement(Path(os.devnull), 1).vote(0)
        self._followed: dict[str, str] = {}
        self._highest: dict[str, int] = {}
        self._scanning = asyncio.Lock()
        self._news = asyncio.Event()
        self._catalogue = Catalogue({})
        self._next: Catalogue | None = None
        """What was found last, where it does not serve yet."""
        self._seen = self._vote.decided
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is there, then keep watching the orders, and the folder if the settings say so.

        Among workers that serve already it returns when it serves the same.
        """
        self._watchdog.start()
        await self.refresh()
        while self._next:
            await asyncio.sleep(CHECK_EVERY_S)
            await self.refresh()
        if not self._catalogue.entries:
            logger.warning(
                "no checkpoints: %s; --checkpoints or LATENT_CHECKPOINTS names another folder",
                self._folder.why_empty(),
            )
        self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Stop watching and let the run in progress finish."""
        if self._polling:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling
        self._threads.shutdown()
        self._watchdog.stop()

    @property
    def is_stuck(self) -> bool:
        """Say whether a run goes on for ever: its thread is lost, and with it this process."""
        return self._watchdog.is_stuck

    def tidy_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give free memory back to the system soon."""
        self._threads.tidy_later(loop)

    async def refresh(self, *, only_orders: bool = False) -> None:
        """Look at the folder once, or at what there are new orders for. Loading happens in a thread."""
        async with self._scanning:
            await self._scan(only_orders=only_orders)

    async def hold(self, highest: Mapping[str, int]) -> None:
        """Serve no version of a name above the one given for it, and look at the folder once.

        As ever a version that is refused leaves the next lower one, or what is loaded.
        """
        self._highest = dict(highest)
        await self.refresh()

    async def _scan(self, *, only_orders: bool) -> None:
        asked_s, given = time.monotonic(), self._orders.read()
        again = [name for name, order in given.items() if order != self._followed.get(name)]
        found = Catalogue(
            await asyncio.to_thread(
                self._folder.scan,
                (self._next or self._catalogue).entries,
                self._catalogue.entries,
                Wanted(self._orders.unloaded(given), again, self._highest),
                only_again=only_orders,
            )
        )
        async with self._vote.decide_alone():
            self._catch_up()
            self._next = found
            self._vote.cast(found.mark)
            self._catch_up()
        if self._next and self._vote.is_alone:
            if found.mark != self._catalogue.mark:
                logger.error("other workers cannot serve %s; this one does", found)
            self._take(found)
        self._followed = given
        if not self._next:
            self._orders.note_followed(asked_s)

    def follow(self) -> None:
        """Look for new orders, and whether others have found something; it is looked at soon."""
        asked_s = time.monotonic()
        self._catch_up()
        if self._orders.read() != self._followed or not self._vote.is_unanimous:
            self._news.set()
        elif not self._news.is_set():
            self._orders.note_followed(asked_s)

    async def give(self, name: str, *, serve: bool) -> ModelStatus:
        """Have every worker serve a name, and look for its versions again, or not serve it at all.

        Raises:
            UnknownModel: there is no checkpoint of that name.
            NotReady: nobody can say so now, as the folder cannot be read.
        """
        try:
            is_known = await asyncio.to_thread(self._folder.has, name)
        except OSError as error:
            raise NotReady(f"The checkpoints cannot be read ({error.strerror or error}).") from None
        if not is_known:
            raise UnknownModel
        asked_s = self._orders.give(name, serve=serve)
        while not self._orders.all_followed(asked_s):
            self.follow()
            await asyncio.sleep(CHECK_EVERY_S)
        return self.now().status(name)  # unless it was removed meanwhile

    def now(self) -> Catalogue:
        """Return what serves at this moment."""
        if self._vote.decided != self._seen:
            self._catch_up()
        return self._catalogue

    def get(self, model: str | None, capability: Capability, to: str | None = None) -> Model:
        """Return the model for a request: see `Catalogue.get`."""
        return self.now().get(model, capability, to)

    def ready(self) -> bool:
        """Say whether any checkpoint is being served."""
        return bool(self.now().models())

    def __str__(self) -> str:
        """Name what is being served, for a line of log."""
        return str(self._catalogue)

    def _catch_up(self) -> None:
        """Serve what was decided, if it is what was found last."""
        self._seen = self._vote.decided
        if self._next and self._next.mark == self._seen:
            self._take(self._next)

    def _take(self, found: Catalogue) -> None:
        """Serve what was found from now on."""
        before, self._catalogue, self._next = self._catalogue, found, None
        if found.entries == before.entries:
            return
        for name in before.entries.keys() - found.entries.keys():
            metrics.MODEL_VERSION.labels(name).set(0)
        found.report()
        logger.info("serving %s", found)
        if found.has_more_than(before):
            asyncio.get_running_loop().call_soon(memory.settle)

    async def _poll(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s or None):
                    await self._news.wait()
            only_orders = self._news.is_set() and (self._vote.is_unanimous or not self._interval_s)
            self._news.clear()
            try:
                await self.refresh(only_orders=only_orders)
            except Exception:
                logger.exception("looking at the checkpoint folder failed; what is loaded keeps serving")
