"""The threads in which runs happen that are too long for the event loop.

repository -> ThreadPools -> batcher
"""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor

from service.runtime import memory
from service.runtime.cpu import lower_priority, usable_cores

TIDY_AFTER_S = 1.0
"""Time from the end of a large request, or of connections, until their memory goes back to the system."""

BUSY_S = 0.1
"""A process that has run a small request within this time expects more of them."""


class ThreadPools:
    """Two pools, so that small requests never wait behind the pieces of large ones."""

    def __init__(self, pieces: int | None = None) -> None:
        """Make them; with `pieces`, for so many cores in the place of all that this process may use."""
        self.pieces = pieces or usable_cores()
        """Pieces of large requests that may run at once: one per core of this process."""
        self.small = ThreadPoolExecutor(1, "inference")
        self.large = ThreadPoolExecutor(self.pieces, "pieces", lower_priority)
        self._small_run_s = -math.inf
        self._tidying: asyncio.TimerHandle | None = None

    def note_small_run(self) -> None:
        self._small_run_s = time.monotonic()

    @property
    def is_quiet(self) -> bool:
        """Say whether there are only large requests at present."""
        return time.monotonic() > self._small_run_s + BUSY_S

    def tidy_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give free memory back once no more large requests, or connections, have ended for a while."""
        if self._tidying:
            self._tidying.cancel()
        self._tidying = loop.call_later(TIDY_AFTER_S, self.large.submit, memory.give_back)

    def shutdown(self) -> None:
        """Let what runs finish and forget what waits."""
        if self._tidying:
            self._tidying.cancel()
        for pool in (self.small, self.large):
            pool.shutdown(wait=False, cancel_futures=True)
