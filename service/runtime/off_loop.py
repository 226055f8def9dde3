"""Work on what a request carries, where it takes too long for the event loop: in few threads, one by one.

    api, protocols -> run_by_size -> the event loop, or the thread for bodies
    uploads -> run_decoder -> one of the threads for images

Most work on bodies keeps the interpreter to itself, so that two such threads would be no faster than one.
With one alone many large bodies are worked on one after another, and the event loop has its turns between.
Decoders of images leave the interpreter to others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakKeyDictionary

from service.runtime.cpu import lower_priority, usable_cores

IN_PLACE_BYTES = 1 << 14
"""What is no larger is worked on at once: the dearest JSON of this size takes some 10 ms."""

MAX_DECODERS = 2
"""Images that are decoded beside the event loop at once."""

LARGE_FILE_BYTES = 4 << 20
"""Of larger files one is decoded at a time: a decoder may copy the whole file twice."""

Result = TypeVar("Result")


class _Lane:
    """Threads of which each begins its next work once the event loop has taken what it made before.

    Otherwise results would pile up beside what they were made of while the event loop is busy.
    """

    def __init__(self, name: str, most: int) -> None:
        self._threads = ThreadPoolExecutor(most, name, lower_priority)
        self._free = asyncio.Semaphore(most)

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Return what `work` makes of its arguments."""
        async with self._free:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


class _Lanes:
    """The threads of one event loop; made in each worker, since they would not survive a fork."""

    def __init__(self) -> None:
        self.bodies = _Lane("bodies", 1)
        self.images = _Lane("images", min(usable_cores(), MAX_DECODERS))
        self.large_files = _Lane("large files", 1)


_lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lanes] = WeakKeyDictionary()


def _lanes_here() -> _Lanes:
    loop = asyncio.get_running_loop()
    if loop not in _lanes:
        _lanes[loop] = _Lanes()
    return _lanes[loop]


async def run_by_size(size_bytes: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Return what `work` makes of its arguments, which are so large; a thread does what takes long."""
    if size_bytes <= IN_PLACE_BYTES:
        return work(*arguments)
    return await _lanes_here().bodies.run(work, *arguments)


async def run_decoder(size_bytes: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Return what a decoder makes of a file of so many bytes, as soon as a thread is free."""
    lanes = _lanes_here()
    lane = lanes.large_files if size_bytes > LARGE_FILE_BYTES else lanes.images
    return await lane.run(work, *arguments)
