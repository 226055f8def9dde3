"""The processor cores of this process, and which of its threads go first."""

from __future__ import annotations

import os
import threading

PATIENCE = 10
"""How much nicer the threads of large requests are: the event loops of all workers go first."""

NICEST = 19
"""The largest nice value that the system knows."""


def usable_cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def lower_priority() -> None:
    """Let other threads go first, where a thread has a priority of its own (Linux)."""
    if hasattr(os, "sched_getaffinity"):
        thread = threading.get_native_id()
        nice = os.getpriority(os.PRIO_PROCESS, thread) + PATIENCE  # less than it has is not for everybody
        os.setpriority(os.PRIO_PROCESS, thread, min(nice, NICEST))
