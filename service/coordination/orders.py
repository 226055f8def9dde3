"""What is asked of all workers: which names to serve, in a folder that they share.

    routes/admin -> Repository.give -> Orders.give -> a file per name -> Repository.follow, in every worker

A worker that is started later finds the orders there. Each notes in shared memory up to when it has followed,
so that an order is only answered once it holds everywhere.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Mapping
from pathlib import Path

SERVE, UNLOAD = "serve", "unload"


class OrderBook:
    """The orders and how far each worker has come; made before the workers are forked."""

    def __init__(self, folder: Path, workers: int) -> None:
        """Keep the orders in `folder`, which exists and holds nothing else."""
        self._folder = folder
        self._followed_s = memoryview(mmap.mmap(-1, 8 * workers)).cast("d")

    def orders(self, worker: int) -> Orders:
        """Return the orders as the worker of this number sees them, from 0 on."""
        return Orders(self._folder, self._followed_s, worker)


class Orders:
    """What one worker knows of the orders; times are of `time.monotonic()`, which is the same for all."""

    def __init__(self, folder: Path, followed_s: memoryview[float], worker: int) -> None:
        self._folder = folder
        self._followed_s = followed_s
        self._worker = worker

    def give(self, name: str, *, serve: bool) -> float:
        """Order all workers to serve a name or not to, and return when; the name has been checked."""
        writing = self._folder / f".{name}.{self._worker}"
        writing.write_text(f"{SERVE if serve else UNLOAD} {time.monotonic_ns()}")
        writing.rename(self._folder / name)
        return time.monotonic()

    def read(self) -> dict[str, str]:
        """Return the latest order for each name that there is one for; each is unlike all before it."""
        return {path.name: path.read_text() for path in self._folder.glob("[!.]*")}

    @staticmethod
    def unloaded(orders: Mapping[str, str]) -> set[str]:
        """Return the names that are not to be served."""
        return {name for name, order in orders.items() if order.startswith(UNLOAD)}

    def note_followed(self, until_s: float) -> None:
        """Note that all orders given until then are followed here."""
        self._followed_s[self._worker] = until_s

    def all_followed(self, given_s: float) -> bool:
        """Say whether every worker has followed what was ordered until then."""
        return min(self._followed_s) >= given_s
