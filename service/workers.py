"""Serving processes on one socket, one or several: the way into the supervisor.

__main__ -> supervise -> supervisor -> server.serve, in each worker
"""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from service.settings import Settings

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own is made in it
"""Where files are that all workers use, if the system has it: nothing tidies up there behind their backs."""

METRICS, ORDERS, DRIFT = "metrics", "orders", "drift"
"""The folders in it."""

VOTES = "votes"
"""The file in it that whoever votes has locked."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers' numbers meet; prometheus_client looks at it once, when it is imported."""


def supervise(settings: Settings, listener: socket.socket) -> int:
    """Run the settings' number of workers until told to stop, and return the exit code."""
    memory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="latent-service-", dir=memory) as folder:
        for part in (METRICS, ORDERS, DRIFT):
            Path(folder, part).mkdir()
        Path(folder, VOTES).touch()
        if settings.workers > 1:  # for a single one it would only cost time
            os.environ[METRICS_FOLDER] = str(Path(folder, METRICS))
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's own threads would not survive a fork
        from service.supervisor import Supervisor  # noqa: PLC0415 - reads what was just set

        return Supervisor(settings, listener, Path(folder)).run()
