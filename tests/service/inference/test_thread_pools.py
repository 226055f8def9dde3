"""Threads: how many there are, and that those of large requests let others go first."""

from service.inference.thread_pools import ThreadPools
from service.runtime.cpu import usable_cores


def test_there_is_one_per_core_unless_somebody_says_how_many():
    assert ThreadPools().pieces == usable_cores()
    assert ThreadPools(3).pieces == 3
