"""The checkpoints that serve: scans for them, swaps versions while requests are running, follows orders.

    folder -> Repository (every few seconds) -> Catalogue -> Model; route -> Repository.get -> Model

What a scan has found serves once every worker has prepared the same (desired_state.py): until then the models
from before answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from service.coordination.desired_state import DesiredState, Participant, choose, revision_of
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

START_SCAN_EVERY_S = 0.05
"""Time from one scan to the next, while what this worker has found does not serve yet."""

logger = logging.getLogger(__name__)


class Repository:
    """The served models, kept up to date with a folder and with orders. Belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        desired: Participant | None = None,
        cores: int | None = None,
    ) -> None:
        """Take the folder and the limits from `settings`; nothing is read before `start`.

        Without a part in what is `desired` there are no other workers; without `cores` all are used.
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
        self._desired = desired or DesiredState(1).participant(0)
        self._highest: dict[str, int] = {}
        self._scanning = asyncio.Lock()
        self._news = asyncio.Event()
        self._catalogue = Catalogue({})
        self._serving = self._choice = 0
        """What serves, and what was found last: the keys of the latter's catalogue below."""
        self._prepared = {self._choice: self._catalogue}
        """What may be committed."""
        self._committed = self._desired.committed
        self._unloaded: set[int] = set()
        """The names that are not to serve, by their marks."""
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is there, then keep watching the orders, and the folder if the settings say so.

        Among workers that serve already it returns when it serves the same.
        """
        self._watchdog.start()
        await self.refresh()
        while self._serving != self._choice:
            await asyncio.sleep(START_SCAN_EVERY_S)
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
        """Scan the folder once, or what there are new orders for. Loading happens in a thread."""
        async with self._scanning:
            await self._scan(only_orders=only_orders)

    async def hold(self, highest: Mapping[str, int]) -> None:
        """Serve no version of a name above the one given for it, and scan the folder once.

        As ever a version that is refused leaves the next lower one, or what is loaded.
        """
        self._highest = dict(highest)
        await self.refresh()

    async def _scan(self, *, only_orders: bool) -> None:
        revision = self._desired.revision
        orders = self._desired.orders(revision_of(self._choice), revision)
        self._unloaded -= orders.keys()
        self._unloaded |= {name for name, serve in orders.items() if not serve}
        entries = await asyncio.to_thread(
            self._folder.scan,
            self._prepared[self._choice].entries,
            self._catalogue.entries,
            Wanted(self._unloaded, orders.keys(), self._highest),
            only_again=only_orders,
        )
        found = Catalogue(entries)
        self._choice = choose(found.content(), revision)
        self._prepared[self._choice] = found
        await self._desired.prepare(self._choice)
        self._catch_up()
        if self._choice == self._serving:  # the same models; what is said of the others may be new
            self._take(self._choice)
        self._prepared = {self._choice: found}

    def follow(self) -> None:
        """Check for new orders, and whether others have found something; it is scanned for soon."""
        self._catch_up()
        if self._desired.has_news():
            self._news.set()

    async def give(self, name: str, *, serve: bool) -> ModelStatus:
        """Have every worker serve a name, and scan for its versions again, or not serve it at all.

        Raises:
            UnknownModel: there is no checkpoint of that name.
            NotReady: nobody can say so now, as the folder cannot be read; or a worker hangs, and will follow.
        """
        try:
            is_known = await asyncio.to_thread(self._folder.has, name)
        except OSError as error:
            raise NotReady(f"The checkpoints cannot be read ({error.strerror or error}).") from None
        if not is_known:
            raise UnknownModel
        try:
            await self._desired.order(name, serve=serve, follow=self.follow)
        except TimeoutError:
            raise NotReady("A worker does not respond; the order holds as soon as it does.") from None
        return self.now().status(name)  # unless it was removed meanwhile

    def now(self) -> Catalogue:
        """Return what serves at this moment."""
        if self._desired.committed != self._committed:
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
        """Serve what was committed, if it was prepared here; what was found last if the workers differ."""
        before, self._committed = self._committed, self._desired.committed
        if self._committed in self._prepared:
            self._take(self._committed)
        elif self._committed < 0 and self._committed != before:
            if self._choice != self._serving:
                logger.error("other workers cannot serve %s; this one does", self._prepared[self._choice])
            self._take(self._choice)

    def _take(self, choice: int) -> None:
        """Serve something that was prepared from now on."""
        before, self._catalogue, self._serving = self._catalogue, self._prepared[choice], choice
        found = self._catalogue
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
            has_orders = self._desired.revision != revision_of(self._choice)
            only_orders = self._news.is_set() and (has_orders or not self._interval_s)
            self._news.clear()
            try:
                await self.refresh(only_orders=only_orders)
            except Exception:
                logger.exception("scanning the checkpoint folder failed; what is loaded keeps serving")
