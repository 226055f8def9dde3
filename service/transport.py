"""One system call per answer: its head and its body are written together.

    acceptor -> Protocol (uvicorn's) -> JoinedWrites -> socket

uvicorn writes the head of an answer and then its body, and uvloop sends each at once.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.balance import Share

State = dict[str, Any]


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol of one connection, with joined writes; `share` counts it until its end."""

    def __init__(self, config: Config, server_state: ServerState, app_state: State, share: Share) -> None:
        super().__init__(config, server_state, app_state)
        self._share = share

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection up."""
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection."""
        self._share.closed()
        super().connection_lost(exc)


class JoinedWrites:
    """A transport that sends together what is written in one turn of the event loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        """Do everything else as the transport does."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send `data` before the event loop looks at its connections again."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Close the connection behind what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.writelines(parts)
