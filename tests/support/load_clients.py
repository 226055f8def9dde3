"""Clients for tests that send much: plain connections, and a count of what became of every request."""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    headers: bytes
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Connection:
    """One connection that is kept alive; a fraction of httpx's cost."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> "Connection":
        address = httpx.URL(url)
        return cls(*await asyncio.open_connection(address.host, address.port, limit=1 << 24))

    async def ask(self, path: str, body: object = None, **headers: str) -> Answer:
        """Send one request, a POST if there is a body, and return its answer."""
        self.writer.write(request(path, body, headers))
        return await self.answer()

    async def answer(self) -> Answer:
        """Return the next answer.

        Raises:
            asyncio.IncompleteReadError, ConnectionError: the connection ends before it does.
        """
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        assert length, head
        return Answer(int(head.split(maxsplit=2)[1]), head, await self._reader.readexactly(int(length[1])))

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def request(path: str, body: object = None, headers: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of one request; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    fields = {"host": "localhost", "content-length": str(len(content)), **(headers or {})}
    if body is not None:
        fields.setdefault("content-type", "application/json")
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


@dataclass
class Tally:
    """Every request that was sent, by what became of it."""

    sent: int = 0
    ok: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Count an answer; refusals are what a caller can do something about."""
        if answer.status == 200:
            self.ok += 1
        elif answer.status in (500, 502):
            self.failed.append(answer.content.decode(errors="replace"))
        else:
            self.refused += 1

    def check(self) -> None:
        """Check that nothing is unaccounted for."""
        assert self.sent == self.ok + self.refused + len(self.failed)
