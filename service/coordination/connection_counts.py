"""How many connections each worker holds, in memory that all of them share.

supervisor -> ConnectionCounts -> WorkerConnections, one per worker -> acceptor
"""

from __future__ import annotations

from service.coordination.shared_counters import SharedCounters

ABSENT = 2**62
"""The count of a worker that takes no connections."""


class ConnectionCounts:
    """The counts of all workers; made before they are forked."""

    def __init__(self, workers: int) -> None:
        self._counts = SharedCounters(workers)
        for worker in range(workers):
            self.worker(worker).leave()

    def worker(self, worker: int) -> WorkerConnections:
        """Return the count of the worker of this number, from 0 on."""
        return WorkerConnections(self._counts, worker)


class WorkerConnections:
    """One worker's count. The other workers yield to it between `join` and `leave`."""

    def __init__(self, counts: SharedCounters, worker: int) -> None:
        self._counts = counts
        self._worker = worker

    def join(self) -> None:
        """Take part, with no connections yet."""
        self._counts[self._worker] = 0

    def leave(self) -> None:
        """Take no more connections."""
        self._counts[self._worker] = ABSENT

    @property
    def is_fair(self) -> bool:
        """Say whether another connection is fair: no other worker holds clearly fewer, a quarter or more."""
        least = min(self._counts)
        return self._counts[self._worker] <= least + least // 4

    @property
    def count(self) -> int:
        return self._counts[self._worker]

    def opened(self) -> None:
        self._counts[self._worker] += 1

    def closed(self) -> None:
        self._counts[self._worker] -= 1
