"""Work on what a request carries, where it takes too long for the event loop: in few threads, one by one.

    bodies, uploads, streams, protocols -> run_by_size -> the event loop, or the thread for bodies
    uploads -> run_decoder -> one of the threads for pictures

Most work on bodies keeps the interpreter to itself, so that two such threads would be no faster than one.
With one alone many large bodies are worked on one after another, and the event loop has its turns between.
Decoders of pictures leave the interpreter to others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from service.runtime.cpu import be_patient, cores

IN_PLACE_BYTES = 1 << 14
"""What is no larger is worked on at once: the dearest JSON of this size takes some 10 ms."""

MAX_DECODERS = 2
"""Pictures that are decoded beside the event loop at once."""

LARGE_FILE_BYTES = 4 << 20
"""Of larger files one is decoded at a time: a decoder may copy the whole file twice."""

Result = TypeVar("Result")


async def run_by_size(size_bytes: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Return what `work` makes of its arguments, which are so large; a thread does what takes long."""
    if size_bytes <= IN_PLACE_BYTES:
        return work(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_threads("bodies", 1), work, *arguments)


async def run_decoder(size_bytes: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Return what a decoder makes of a file of so many bytes, as soon as a thread is free."""
    is_large = size_bytes > LARGE_FILE_BYTES
    threads = _threads("files", 1) if is_large else _threads("pictures", min(cores(), MAX_DECODERS))
    return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)


@cache
def _threads(name: str, most: int) -> ThreadPoolExecutor:
    """Return threads of that name, which are made in each worker: they would not survive a fork."""
    return ThreadPoolExecutor(most, name, be_patient)
