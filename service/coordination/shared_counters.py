"""Whole numbers that forked processes share.

supervisor -> SharedCounters -> connection counts, heartbeats, the desired state, in every worker
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator


class SharedCounters:
    """Numbers of 64 bits, all 0 at first; made before the workers are forked.

    The memory is anonymous. That of `multiprocessing.sharedctypes` is a sparse file in /dev/shm, and a
    process that writes to it is killed (SIGBUS) while that file system is full.
    """

    def __init__(self, count: int) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 8 * count)).cast("q")

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __getitem__(self, index: int) -> int:
        return self._numbers[index]

    def __setitem__(self, index: int, number: int) -> None:
        self._numbers[index] = number
