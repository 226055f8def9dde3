"""All connections of one event loop: how long each may make it wait, and how many there may be.

worker -> Connections -> Connection.check; acceptor -> Connections.room
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from heapq import nsmallest

from service.coordination.connection_counts import WorkerConnections
from service.http.connection import Connection

SPARE_AFTER_S = 0.1
"""A connection that has waited for its client as long is ended where there is no room for another. What is
new waits as long before it is accepted, a health check too."""

AT_ONCE = 16
"""One in so many is ended together, since finding those that wait longest means looking at all."""

logger = logging.getLogger(__name__)


class Connections:
    """Looks at the connections `held` from time to time, and keeps them from becoming more than `most`.

    `connection_count` counts those too that are on their way in or out.
    """

    def __init__(
        self,
        held: Collection[Connection],
        connection_count: WorkerConnections,
        *,
        most: int,
        max_unread_bytes: int,
    ) -> None:
        self._held = held
        self._connection_count = connection_count
        self._most = most
        self._max_unread_bytes = max_unread_bytes

    def check(self) -> None:
        """End those whose clients let them wait for too long, or leave too much unread."""
        now_s = time.monotonic()
        for connection in list(self._held):
            connection.check(now_s)
        unread_bytes = sum(connection.unread_bytes for connection in self._held)
        if unread_bytes > self._max_unread_bytes:
            self._end_worst_readers(unread_bytes)

    def _end_worst_readers(self, unread_bytes: int) -> None:
        for connection in sorted(self._held, key=lambda one: one.unread_bytes, reverse=True):
            if unread_bytes <= self._max_unread_bytes:
                return
            unread_bytes -= connection.unread_bytes
            logger.warning("ended a connection that left %d bytes unread", connection.unread_bytes)
            connection.end()

    def room(self) -> int:
        """Return how many more may be taken; if need be, end those that wait longest for their clients."""
        return max(0, self._most - self._connection_count.count) or self._end_some()

    def _end_some(self) -> int:
        """End some connections that wait, and return how many."""
        now_s = time.monotonic()
        longest = nsmallest(
            self._most // AT_ONCE + 1, self._held, key=lambda connection: connection.waits_since_s(now_s)
        )
        ended = [one for one in longest if now_s - one.waits_since_s(now_s) >= SPARE_AFTER_S]
        for connection in ended:
            connection.end()
        if ended:
            logger.warning("ended %d of %d connections, which waited longest", len(ended), len(self._held))
        return len(ended)
