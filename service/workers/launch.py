"""Serving processes on one socket, one or several: the way into the supervisor.

__main__ -> supervise -> supervisor -> worker.serve, in each worker
"""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from service.coordination.shared_folder import DRIFT, METRICS, METRICS_FOLDER, SHARED_MEMORY
from service.settings import Settings


def supervise(settings: Settings, listener: socket.socket) -> int:
    """Run the settings' number of workers until told to stop, and return the exit code."""
    memory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="latent-service-", dir=memory) as folder:
        for part in (METRICS, DRIFT):
            Path(folder, part).mkdir()
        if settings.workers > 1:  # for a single one it would only cost time
            os.environ[METRICS_FOLDER] = str(Path(folder, METRICS))
        from service.workers.supervisor import Supervisor  # noqa: PLC0415 - reads what was just set

        return Supervisor(settings, listener, Path(folder)).run()
