"""The threads in which runs happen that are too long for the event loop.

repository -> Threads -> batcher
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor


class Threads:
    """Two pools, so that small requests never wait behind the pieces of large ones."""

    def __init__(self) -> None:
        self.pieces = (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
        """Pieces of large requests that may run at once: one per core of this process."""
        self.small = ThreadPoolExecutor(1, "inference")
        self.large = ThreadPoolExecutor(self.pieces, "pieces")

    def shutdown(self) -> None:
        """Let what runs finish and forget what waits."""
        for pool in (self.small, self.large):
            pool.shutdown(wait=False, cancel_futures=True)


def cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
