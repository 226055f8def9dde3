"""Threads: how many there are, and that those of large requests let others go first."""

import subprocess
import sys

import pytest

from service.inference.thread_pools import ThreadPools
from service.runtime.cpu import usable_cores
from support.service_process import ROOT

NICENESS = """
import os, sys
from service.inference.thread_pools import ThreadPools
os.nice(int(sys.argv[1]))
print(ThreadPools().large.submit(os.getpriority, os.PRIO_PROCESS, 0).result())
"""


def test_there_is_one_per_core_unless_somebody_says_how_many():
    assert ThreadPools().pieces == usable_cores()
    assert ThreadPools(3).pieces == 3


@pytest.mark.parametrize(("process", "thread"), [(0, 10), (5, 15), (15, 19), (19, 19)])
def test_threads_are_never_less_nice_than_their_process(process: int, thread: int):
    """Only the system's administrator may take more than a process was given."""
    command = [sys.executable, "-c", NICENESS, str(process)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert int(ended.stdout) == thread
