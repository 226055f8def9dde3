"""Work on what a request carries, where it takes too long for the event loop: in one thread, piece by piece.

    bodies, uploads, streams, protocols -> run_by_size -> the event loop, or the thread

Much of that work keeps the interpreter to itself, so that two such threads would be no faster than one. With
one alone many large bodies are worked on one after another, and the event loop has its turns between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from service.runtime.cpu import be_patient

IN_PLACE_BYTES = 1 << 14
"""What is no larger is worked on at once: the dearest JSON of this size takes some 10 ms."""

Result = TypeVar("Result")


async def run_by_size(size_bytes: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Return what `work` makes of its arguments, which are so large; a thread does what takes long."""
    if size_bytes <= IN_PLACE_BYTES:
        return work(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_thread(), work, *arguments)


@cache
def _thread() -> ThreadPoolExecutor:
    """Return the thread, which is made in each worker: it would not survive a fork."""
    return ThreadPoolExecutor(1, "bodies", be_patient)
