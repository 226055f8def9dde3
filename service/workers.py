"""Several serving processes on one socket: the way into the supervisor.

__main__ -> supervise -> supervisor -> server.serve, in each worker
"""

from __future__ import annotations

import os
import socket
import tempfile

from service.settings import Settings

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers' numbers meet; prometheus_client looks at it once, when it is imported."""


def supervise(settings: Settings, listener: socket.socket) -> int:
    """Run the settings' number of workers until told to stop, and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="latent-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's own threads would not survive a fork
        from service.supervisor import Supervisor  # noqa: PLC0415 - reads what was just set

        return Supervisor(settings, listener).run()
