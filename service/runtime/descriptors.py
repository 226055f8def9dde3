"""Open files: whether a process may have as many as its connections take."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress

SPARE = 100
"""Descriptors of a process beside its connections: listener, pipes, event loop, log, files of checkpoints."""

logger = logging.getLogger(__name__)


def fit(connections: int) -> int:
    """Let this process open files for so many connections, and return for how many it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(ValueError, OSError):  # some systems allow less than they report
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    fitting = min(connections, max(1, soft - SPARE))
    if fitting < connections:
        logger.warning(
            "a worker holds %d connections instead of %d: it may open %d files (ulimit -n)",
            fitting,
            connections,
            soft,
        )
    return fitting
