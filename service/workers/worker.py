"""One serving process: a socket, the application behind it, and an end that loses no request.

    __main__ -> launch -> supervisor -> serve, in each worker

Told to stop, a process turns not ready at once and goes on serving for the drain delay, closing every
connection behind its answer; then it stops listening and finishes what it has begun.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.comparison.drift import Windows
from service.coordination.connection_counts import WorkerConnections
from service.coordination.desired_state import Participant
from service.coordination.heartbeats import Heartbeat
from service.http.acceptor import Acceptor
from service.http.connection import Connection
from service.http.connection_limits import Connections
from service.http.exchange import HeldBytes
from service.http.listener import refuse_newcomers
from service.http.open_requests import Drain
from service.observability import logs, metrics
from service.observability.line_writer import CLOSE_S, LineWriter
from service.repository.repository import Repository
from service.runtime import descriptors, memory
from service.settings import Settings

TICK_S = 0.5
"""Time from one look at what may take too long to the next: limits are kept as closely as that."""

GIVE_UP_S = 1.0
"""Time for requests to be finished by a process that has lost a thread."""

SETTLE_S = 0.1
"""Time for handshakes to end that have begun, and for requests to arrive on what was accepted last."""

TAKE_IN_S = 2.0
"""Most time to accept and read what has arrived; bodies that nobody reads could stretch it for ever."""

STUCK = 4
"""Exit code of a worker that has lost a thread."""

logger = logging.getLogger(__name__)


class WorkerHandles(NamedTuple):
    """What ties a worker to the supervisor and the others."""

    connection_count: WorkerConnections
    """How many connections it holds."""
    heartbeat: Heartbeat
    """Says that its event loop turns."""
    desired: Participant
    """Its part in what all serve."""
    windows: Windows
    """What they have encoded of late."""
    parent: int
    """A pipe whose end says that the supervisor is gone."""


def serve(settings: Settings, listener: socket.socket, handles: WorkerHandles, *, announce: bool) -> None:
    """Serve on `listener` until told to stop; `announce` prints where, and what, once it does."""
    memory.limit_pools()
    logs.configure_logs(settings.log_level, settings.log_format)
    app = create_app(settings, handles.desired, handles.windows)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="on",
        access_log=False,
        proxy_headers=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=math.ceil(settings.keep_alive_timeout_s),
        timeout_graceful_shutdown=_finish_s(settings),
    )
    Server(config, app, settings, handles, announce).run(sockets=[listener])


def longest_stop_s(settings: Settings) -> float:
    """Return the most time from SIGTERM to the end, in seconds: what starts the service grants as much."""
    return settings.drain_delay_s + 2 * (SETTLE_S + TAKE_IN_S) + _finish_s(settings) + 2 * CLOSE_S


def _finish_s(settings: Settings) -> int:
    """Return the most time for the requests that have begun when the service stops listening, in seconds."""
    return math.ceil(settings.request_timeout_s) + 1


class Server(uvicorn.Server):
    """uvicorn's server, with a drain before its end."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: FastAPI,
        settings: Settings,
        handles: WorkerHandles,
        announce: bool,
    ) -> None:
        super().__init__(config)
        self._app = app
        self._settings = settings
        self._connection_count = handles.connection_count
        self._connections = Connections(
            cast(set[Connection], self.server_state.connections),
            handles.connection_count,
            most=descriptors.fit(max(1, settings.max_connections // settings.workers)),
            max_unread_bytes=settings.max_held_bytes,
        )
        self._heartbeat = handles.heartbeat
        self._parent = handles.parent
        self._announce = announce
        self._held_connections = 0
        self._is_stuck = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on SIGTERM, without the delay on SIGINT; a second SIGINT cuts off what is in flight."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, self._settings.drain_delay_s)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_reader(self._parent, self._orphaned, self._parent)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and listen, then say so in one line."""
        self._tick(asyncio.get_running_loop())
        await super().startup([])
        self._connection_count.join()
        self.servers = [
            Acceptor(listener, self._connection_count, self._connections, self._connection)  # type: ignore[misc]
            for listener in sockets or []
        ]
        if self._announce and sockets:
            output = LineWriter(sys.stdout)
            output.write(f"{_address(sockets[0])} serves {self._app.state.repository}")
            if self._settings.allow_no_key and os.environ.get("LATENT_API_KEYS") == "":
                logger.warning("LATENT_API_KEYS is empty and LATENT_ALLOW_NO_KEY true: no key is needed")

    def _connection(self) -> asyncio.Protocol:
        """Return what speaks HTTP on one connection."""
        held: HeldBytes = self._app.state.held
        return Connection(
            self.config, self.server_state, self.lifespan.state, self._connection_count, held, self._settings
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let what was accepted speak, then close as uvicorn does.

        uvicorn alone drops connections that wait to be accepted, and requests that wait to be read.
        """
        listeners = sockets or []
        if not self._is_stuck:  # else others go on with the same socket
            for listener in listeners:
                refuse_newcomers(listener)
            await asyncio.sleep(SETTLE_S)
        await self._take_in([listener.fileno() for listener in listeners])
        for server in self.servers:
            server.close()
        await asyncio.sleep(SETTLE_S)
        await self._take_in([])
        await super().shutdown(sockets)
        if self._is_stuck:
            logging.shutdown()
            os._exit(STUCK)  # no other way leads past a thread that does not end

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Show a sign of life, and check for orders and for everything that may take too long."""
        loop.call_later(TICK_S, self._tick, loop)
        self._heartbeat.beat()
        self._connections.check()
        self._tidy(loop)
        metrics.MEMORY_BYTES.set(memory.resident_bytes())
        logs.count_lost_lines()
        repository: Repository = self._app.state.repository
        repository.follow()
        if repository.is_stuck and not self._is_stuck:
            self._give_up()

    def _tidy(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give back what connections held, once no more of them have ended for a while."""
        before, self._held_connections = self._held_connections, len(self.server_state.connections)
        if self._held_connections < before:
            self._app.state.repository.tidy_later(loop)

    def _give_up(self) -> None:
        """End this process, whose thread does not come back; what is in flight has a moment to finish."""
        logger.error("a run does not end; this worker makes room for another")
        self._is_stuck = True
        self._app.state.open_requests.hurry(time.monotonic() + GIVE_UP_S)
        self._stop(0)

    async def _take_in(self, listeners: list[int]) -> None:
        """Go on until nothing waits in a listener or a connection: a busy machine may be far behind."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + TAKE_IN_S
        while loop.time() < give_up:
            waiting = select.poll()
            for descriptor in listeners + self._descriptors():
                waiting.register(descriptor, select.POLLIN)
            if not waiting.poll(0):
                return
            await asyncio.sleep(0)

    def _descriptors(self) -> list[int]:
        transports = [connection.transport for connection in self.server_state.connections]
        return [
            transport.get_extra_info("socket").fileno()
            for transport in transports
            if not transport.is_closing()
        ]

    def _interrupt(self) -> None:
        self.force_exit = self.should_exit
        self._stop(0)

    def _orphaned(self, parent: int) -> None:
        asyncio.get_running_loop().remove_reader(parent)
        self._stop(self._settings.drain_delay_s)

    def _stop(self, delay_s: float) -> None:
        drain: Drain = self._app.state.drain
        drain.begin()
        self._app.state.open_requests.hurry(time.monotonic() + self._settings.request_timeout_s)
        if delay_s and self.started:
            asyncio.get_running_loop().call_later(delay_s, self._stop, 0)
        else:
            self.should_exit = True


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
