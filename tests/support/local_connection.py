"""A connection of this process to itself: a client's end, and the service's end with a small application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from service.coordination.connection_counts import ConnectionCounts, WorkerConnections
from service.http.connection import Connection
from service.http.exchange import HeldBytes
from service.http.listener import listen
from service.settings import Settings

DEADLINE_S = 30
"""Time for what takes a moment on a machine that has nothing else to do."""


class Answer(NamedTuple):
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return what its body says."""
        return json.loads(self.body)


async def report(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, once the body is there, with the path and the body; the application of most tests."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    content = json.dumps([scope["path"], body.decode("latin-1")]).encode()
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class LocalConnection:
    """One client, and what serves it."""

    def __init__(self, app: ASGIApp, held: HeldBytes | None, **settings: Any) -> None:
        chosen = Settings(**settings)
        self.count: WorkerConnections = ConnectionCounts(1).worker(0)
        self.count.join()
        self.held = held or HeldBytes(chosen.max_held_bytes)
        self._settings = chosen
        self._config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None)
        self._state = ServerState()
        self.served = self.protocol()

    def protocol(self) -> Connection:
        """Return what speaks for the service on one more connection."""
        return Connection(self._config, self._state, {}, self.count, self.held, self._settings)

    async def connect(self) -> None:
        """Connect the two ends."""
        loop = asyncio.get_running_loop()
        with listen("127.0.0.1", 0) as listener:
            listener.setblocking(False)
            listener.listen()
            opening = asyncio.open_connection(*listener.getsockname())
            (self.reader, self.writer), (accepted, _) = await asyncio.gather(
                opening, loop.sock_accept(listener)
            )
        self.count.opened()
        await loop.connect_accepted_socket(lambda: self.served, accepted)

    def send(self, *pieces: bytes) -> None:
        """Send what a client has to say."""
        self.writer.write(b"".join(pieces))

    async def answer(self) -> Answer:
        """Return the next answer."""
        async with asyncio.timeout(DEADLINE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(first.split()[1]), headers, body)

    async def ended(self) -> bytes:
        """Return what still comes until the service closes the connection."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.read()

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        async with asyncio.timeout(DEADLINE_S):
            while self.count.count:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def connected(
    app: ASGIApp = report, held: HeldBytes | None = None, **settings: Any
) -> AsyncIterator[LocalConnection]:
    """Open a connection to an application, and hang up at the end."""
    wire = LocalConnection(app, held, **settings)
    await wire.connect()
    try:
        yield wire
    finally:
        await wire.close()
