"""Watchdog for inference runs: aborts those that take far too long, and reports those that do not stop.

    batch, model -> RunWatchdog.watch -> engine.run;  worker -> RunWatchdog.is_stuck

It checks from a thread of its own, since a run on the event loop holds up everything there. ONNX Runtime
leaves a graph between two of its nodes, or two rounds of a loop; within a node it cannot be stopped.
"""

from __future__ import annotations

import math
import threading
import time
from types import TracebackType

import onnxruntime as ort

CHECK_EVERY_S = 0.25
"""Time from one look at the runs to the next."""

YIELD_S = 1.0
"""Time to leave the graph, for a run that was cut off."""

FAR_TOO_LONG = 10
"""A run is given this many times what runs like it take, at least."""


class WatchedRun:
    """One run, or several one after another: `with` it, its options tell ONNX Runtime when to end."""

    __slots__ = ("_longest_s", "_runs", "end_s", "options")

    def __init__(self, runs: set[WatchedRun], longest_s: float) -> None:
        self._runs = runs
        self._longest_s = longest_s
        self.end_s = math.inf
        self.options = ort.RunOptions()

    @property
    def is_cut(self) -> bool:
        """Say whether the run was told to end."""
        return bool(self.options.terminate)

    def __enter__(self) -> ort.RunOptions:
        self.end_s = min(self.end_s, time.monotonic() + self._longest_s)
        self._runs.add(self)
        return self.options

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runs.discard(self)


class RunWatchdog:
    """Looks at the runs of one process, from `start` on."""

    def __init__(self, stuck_run_s: float) -> None:
        """Cut off runs that take longer than `stuck_run_s`, unless runs like it take nearly as long."""
        self._stuck_run_s = stuck_run_s
        self._runs: set[WatchedRun] = set()
        self._stopped = threading.Event()

    def watch(self, expected_s: float) -> WatchedRun:
        """Return a run that is about to begin; others like it take `expected_s`."""
        return WatchedRun(self._runs, max(self._stuck_run_s, FAR_TOO_LONG * expected_s))

    def start(self) -> None:
        threading.Thread(target=self._check, name="run-watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    @property
    def is_stuck(self) -> bool:
        """Say whether a run goes on that was cut off: its thread is lost."""
        return min((run.end_s for run in self._runs.copy()), default=math.inf) + YIELD_S <= time.monotonic()

    def _check(self) -> None:
        while not self._stopped.wait(CHECK_EVERY_S):
            now_s = time.monotonic()
            for run in self._runs.copy():
                if now_s >= run.end_s:
                    run.options.terminate = True
