"""Memory: what is free goes back to the system, and what stays is left alone."""

import ctypes
import gc
import os
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from service.runtime import memory
from support.process_resources import MIB, resident_bytes

COUNTS = (
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keep",
)


class MallocInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`; `hblks` counts the buffers that are in no pool."""

    _fields_ = [(name, ctypes.c_size_t) for name in COUNTS]


class Knot:
    """Refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def _thaw() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_the_resident_memory_is_what_the_system_says():
    before = memory.resident_bytes()
    filled = np.ones(64 * MIB, np.uint8)
    grown = memory.resident_bytes() - before
    assert 60 * MIB < grown < 80 * MIB
    assert memory.resident_bytes() == pytest.approx(resident_bytes(os.getpid()), abs=4 * MIB)
    del filled
    assert memory.resident_bytes() - before < 8 * MIB


def test_what_lies_in_circles_is_given_back_too():
    gone = weakref.ref(Knot())
    memory.give_back()
    assert gone() is None


@pytest.mark.usefixtures("_thaw")
def test_what_stays_is_not_walked_again():
    gone, kept = weakref.ref(Knot()), Knot()
    memory.settle()
    assert gone() is None
    assert not any(one is kept for one in gc.get_objects())
    assert gc.get_freeze_count() > 1000


@pytest.mark.parametrize(("size", "has_own"), [(memory.LARGE_BYTES, True), (memory.LARGE_BYTES - 64, False)])
def test_large_buffers_alone_are_taken_from_no_pool(size: int, has_own: bool):
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.mallinfo2.restype = MallocInfo
    libc.free(libc.malloc(24 * MIB))  # after which glibc itself would take up to 24 MiB from a pool
    memory.limit_pools()
    before = libc.mallinfo2().hblks
    buffers = [libc.malloc(size) for _ in range(64)]  # more than what other tests have left free in the pools
    found = libc.mallinfo2().hblks - before
    for buffer in buffers:
        libc.free(buffer)
    assert (found > 0) == has_own
