"""What the workers share is the same in all of them, and their threads go behind their event loops."""

import os
import subprocess
import sys

import pytest

from service.coordination.connection_counts import ConnectionCounts
from service.coordination.heartbeats import Heartbeats
from service.coordination.shared_counters import SharedCounters
from support.service_process import ROOT

NICENESS = """
import os, sys
from service.inference.thread_pools import ThreadPools
os.nice(int(sys.argv[1]))
print(ThreadPools().large.submit(os.getpriority, os.PRIO_PROCESS, 0).result())
"""


def test_beats_are_seen_across_a_fork():
    heartbeats = Heartbeats(1, 1)
    pid = os.fork()
    if not pid:
        heartbeats.heartbeat(0).beat()
        os._exit(0)
    os.waitpid(pid, 0)
    assert heartbeats.check() == []
    assert heartbeats.check() == [0]


def test_a_forked_process_reads_and_writes_the_same():
    counters = SharedCounters(2)
    counters[0] = 7
    child = os.fork()
    if not child:
        counters[1] = counters[0] + 1
        os._exit(0)
    os.waitpid(child, 0)
    assert list(counters) == [7, 8]


def test_the_counts_are_shared_with_forked_processes():
    connection_counts = ConnectionCounts(2)
    first, second = connection_counts.worker(0), connection_counts.worker(1)
    first.join()
    first.opened()
    child = os.fork()
    if not child:
        second.join()
        os._exit(0)
    os.waitpid(child, 0)
    assert not first.is_fair


@pytest.mark.parametrize(("process", "thread"), [(0, 10), (5, 15), (15, 19), (19, 19)])
def test_threads_are_never_less_nice_than_their_process(process: int, thread: int):
    """Only the system's administrator may take more than a process was given."""
    command = [sys.executable, "-c", NICENESS, str(process)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert int(ended.stdout) == thread
