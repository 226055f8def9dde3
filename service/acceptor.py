"""Taking connections from a socket that several workers listen on.

listener -> Acceptor -> one protocol per connection

A worker takes one connection each time the event loop looks, then serves what it has before it looks again.
So a burst is shared, and idle workers take more of it. A server of asyncio would take all at once.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

BACKLOG = 2048
"""Connections that may wait to be taken."""

PAUSE_S = 0.5
"""Time to wait where the process may open no more files, until some connections have ended."""

logger = logging.getLogger(__name__)


class Acceptor:
    """Accepts for one event loop; closed and waited for as an asyncio server is."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Listen on a bound socket and give every connection to a new `protocol`."""
        self._listener = listener
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
            self._loop.remove_reader(self._listener)
            self._listener.close()

    async def wait_closed(self) -> None:
        """Wait until what was taken has been handed over."""
        await asyncio.gather(*self._starting, return_exceptions=True)

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker was faster, or the client left
            return
        except OSError as error:
            logger.error("no connection can be accepted for %g s: %s", PAUSE_S, error.strerror)
            self._loop.remove_reader(self._listener)
            self._loop.call_later(PAUSE_S, self._resume)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        starting = self._loop.create_task(self._start(connection))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)

    async def _start(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # the client left already
            connection.close()
