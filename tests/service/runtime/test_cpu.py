"""The cores of this process, and threads that let others go first."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.runtime.cpu import lower_priority, usable_cores


@pytest.fixture
def in_thread() -> Iterator[Callable[..., int]]:
    """Call something in a thread of its own: priorities and cores are those of a thread on Linux."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda work: pool.submit(work).result()


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_only_the_cores_that_it_may_use_count(in_thread: Callable[..., int]):
    allowed = os.sched_getaffinity(0)

    def confined() -> int:
        os.sched_setaffinity(0, {min(allowed)})
        return usable_cores()

    assert usable_cores() == len(allowed)
    assert in_thread(confined) == 1


@pytest.mark.parametrize(("before", "after"), [(0, 10), (5, 15), (9, 19), (10, 19), (19, 19)])
def test_a_thread_gets_nicer_and_never_less_nice_than_it_was(
    in_thread: Callable[..., int], before: int, after: int
):
    """Only the system's administrator may make a thread less nice again."""

    def lowered() -> int:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), before)
        lower_priority()
        return priority()

    here = priority()
    assert in_thread(lowered) == after
    assert priority() == here
