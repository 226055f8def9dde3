"""One worker of several, asked alone."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from support.service_process import ServiceProcess, is_alive

PATIENT = {"stuck_worker_s": 60}
"""Settings of a service whose workers are halted: none of them is to be taken for one that hangs."""


@contextmanager
def only(service: ServiceProcess, worker: int) -> Iterator[httpx.Client]:
    """Let one worker of a PATIENT service answer everything, by halting the others."""
    others = [pid for pid in service.workers() if pid != worker and is_alive(pid)]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        with service.client() as client:
            yield client
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)
