"""Whether the workers live, in memory that they share with the supervisor.

    supervisor -> Heartbeats -> Heartbeat, one per worker -> worker, whose event loop beats it

A worker whose event loop hangs looks alive from outside: its socket takes connections, its process runs.
"""

from __future__ import annotations

from service.coordination.shared_counters import SharedCounters


class Heartbeats:
    """The beats of all workers; made before they are forked, and checked by the supervisor."""

    def __init__(self, workers: int, max_missed: int) -> None:
        """Take a worker for dead whose beats stay the same for `max_missed` checks."""
        self._beats = SharedCounters(workers)
        self._max_missed = max_missed
        self._seen = [0] * workers
        self._missed = [0] * workers

    def heartbeat(self, worker: int) -> Heartbeat:
        """Return what the worker of this number beats."""
        return Heartbeat(self._beats, worker)

    def expect(self, worker: int) -> None:
        """Give a worker that begins its time."""
        self._missed[worker] = 0

    def check(self) -> list[int]:
        """Return the numbers of the workers that show no sign of life.

        Checks are counted and not seconds: where all processes were halted together, nobody is to blame.
        """
        for worker, beats in enumerate(self._beats):
            self._missed[worker] = self._missed[worker] + 1 if beats == self._seen[worker] else 0
            self._seen[worker] = beats
        return [worker for worker, missed in enumerate(self._missed) if missed >= self._max_missed]


class Heartbeat:
    """One worker's sign of life."""

    def __init__(self, beats: SharedCounters, worker: int) -> None:
        self._beats = beats
        self._worker = worker

    def beat(self) -> None:
        self._beats[self._worker] += 1
