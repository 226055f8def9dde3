"""Serving processes on one socket, one or several: the way into the supervisor.

__main__ -> supervise -> supervisor -> worker.serve, in each worker
"""

from __future__ import annotations

import socket

from service.coordination.shared_folder import shared_folder
from service.observability import shared_metrics
from service.settings import Settings


def supervise(settings: Settings, listener: socket.socket) -> int:
    """Run the settings' number of workers until told to stop, and return the exit code.

    Raises:
        NoRoom: there is no folder for what the workers share.
    """
    if settings.workers > 1:  # for a single one it would only cost time
        shared_metrics.share(settings.workers)
    # Imported now, since metrics are made on import, in the memory that is there by then.
    from service.observability import logs  # noqa: PLC0415
    from service.workers.supervisor import Supervisor  # noqa: PLC0415

    logs.configure_logs(settings.log_level, settings.log_format)
    with shared_folder() as folder:
        return Supervisor(settings, listener, folder).run()
