"""One system call per answer: its head and its body are written together.

    connection -> CoalescedWrites -> socket

uvicorn writes the head of an answer and then its body, and uvloop sends each at once.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any


class CoalescedWrites:
    """A transport that sends together what is written in one turn of the event loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._written = 0

    def __getattr__(self, name: str) -> Any:
        """Do everything else as the transport does."""
        return getattr(self._transport, name)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the client has left no room for, and that are kept for it here."""
        return int(self._transport.get_write_buffer_size())

    @property
    def taken_bytes(self) -> int:
        """Bytes that have gone out since the connection was made."""
        return self._written - self.waiting_bytes

    def write(self, data: bytes) -> None:
        """Send `data` before the event loop looks at its connections again."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def write_eof(self) -> None:
        """Say that nothing follows what was written."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close the connection behind what was written."""
        self._flush()
        self._transport.close()

    def discard(self) -> None:
        """Close the connection at once, and forget what is kept for its client, also in the system."""
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._written += sum(map(len, parts))
            self._transport.writelines(parts)
