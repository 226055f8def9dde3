"""Keeping the process small: what is free goes back to the system, what stays is left alone.

    worker -> limit_pools; repository, supervisor -> settle; thread_pools -> give_back

All but the garbage collection needs a C library that knows how (glibc).
"""

from __future__ import annotations

import ctypes
import gc
import resource
from pathlib import Path

M_ARENA_MAX = -8
"""glibc's number of the parameter, from malloc.h."""
M_MMAP_THRESHOLD = -3
"""Likewise."""
POOLS = 2
"""Pools that memory is taken from. By default every thread has its own, and keeps what it once needed."""

LARGE_BYTES = 4 << 20
"""Buffers from this size on are not taken from a pool, and go back to the system as soon as they are free. By
default glibc raises it to 32 MiB, and large bodies leave gaps in the pools that nothing else fits into."""


def limit_pools() -> None:
    """Let all threads take memory from a few pools; call it before there are threads."""
    _call("mallopt", M_ARENA_MAX, POOLS)
    _call("mallopt", M_MMAP_THRESHOLD, LARGE_BYTES)


def settle() -> None:
    """Collect garbage, keep the collector off what is left, and give free memory back to the system.

    What stays need not be walked again, nor its pages be copied in a forked process.
    """
    gc.collect()
    gc.freeze()
    _trim()


def give_back() -> None:
    """Give free memory back to the system, what lies in circles too; takes a few milliseconds."""
    gc.collect()
    _trim()


def _trim() -> None:
    _call("malloc_trim", 0)


def resident_bytes() -> int:
    """Return how much memory this process has, what it shares with others included; 0 where nobody says."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _call(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None), name, None)
    if function:
        function(*arguments)
