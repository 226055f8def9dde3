"""A request whose answer is read while its body is still being sent, as streams of lines are."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

import httpx

NDJSON = "application/x-ndjson"


class Duplex:
    """One connection with one request: async with Duplex(service.url, "/encode") as stream: ..."""

    def __init__(self, url: str, path: str, body: object = None, **headers: str) -> None:
        """POST lines, or the JSON `body`, and ask for lines."""
        self._url = httpx.URL(url)
        self._path = path
        self._body = body
        self._headers = headers
        self.status = 0
        self.head = b""

    async def __aenter__(self) -> "Duplex":
        self._reader, self.writer = await asyncio.open_connection(self._url.host, self._url.port)
        kind = NDJSON if self._body is None else "application/json"
        fields = {"host": "localhost", "accept": NDJSON, "content-type": kind, "transfer-encoding": "chunked"}
        head = "".join(
            f"{name.replace('_', '-')}: {value}\r\n" for name, value in (fields | self._headers).items()
        )
        self.writer.write(f"POST {self._path} HTTP/1.1\r\n{head}\r\n".encode())
        if self._body is not None:
            await self.send(json.dumps(self._body).encode())
            await self.end()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        """Send a piece of the body."""
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self.writer.drain()

    async def send_images(self, files: list[bytes], count: int) -> None:
        """Send `count` lines of these images in turns, and the end of the body."""
        made = [b'{"image": "%b"}\n' % base64.b64encode(file) for file in files]
        for start in range(0, count, 50):
            await self.send(b"".join(made[i % len(made)] for i in range(start, min(start + 50, count))))
        await self.end()

    async def end(self) -> None:
        """Say that the body ends here."""
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def lines(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the lines of the answer, or the problem if it is one.

        Raises:
            asyncio.IncompleteReadError, ConnectionError: the connection ends before the answer does.
        """
        rest = b""
        async for piece in self._pieces():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield json.loads(line)
        if rest:
            yield json.loads(rest)

    async def _pieces(self) -> AsyncIterator[bytes]:
        self.head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        self.status = int(self.head.split(maxsplit=2)[1])
        if b"transfer-encoding: chunked" not in self.head:
            length = self.head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            yield await self._reader.readexactly(int(length))
            return
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
