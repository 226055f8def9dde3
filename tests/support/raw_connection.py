"""A connection on which a test says what it likes, byte by byte."""

import json
import re
import socket
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

import httpx

from support.problem_json import check_problem
from support.service_process import ServiceProcess

LIMIT_S = 20.0


class Answer(NamedTuple):
    """One answer as it came."""

    status_code: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Wire:
    """A connection to a service."""

    def __init__(self, service: ServiceProcess, receive_buffer: int | None = None) -> None:
        url = httpx.URL(service.url)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(LIMIT_S)
        try:
            self.socket.connect((url.host, url.port))
        except OSError:
            self.socket.close()
            raise
        self.connected_s = time.monotonic()
        self._read = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> "Wire":
        """Send bytes; that nobody takes them any more is no error."""
        with suppress(ConnectionError):
            self.socket.sendall(data)
        return self

    def post(self, path: str, *headers: str, body: bytes = b"") -> "Wire":
        """Send a request with these headers and no others, but for Host and Content-Type."""
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
        return self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def answer(self) -> Answer:
        """Read one answer."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, rest = self._read.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = 0 if " 204 " in status else int(headers["content-length"])
        self._read = rest
        while len(self._read) < length:
            self._more()
        content, self._read = self._read[:length], self._read[length:]
        return Answer(int(re.split(" ", status)[1]), headers, content)

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        assert data, f"it was closed behind {self._read[:200]!r}"
        self._read += data

    def refusal(self, status: int, code: str) -> Answer:
        """Read an answer, check that it is that refusal, and return it."""
        answer = self.answer()
        check_problem(answer, status, code)
        return answer

    def drip(self, data: bytes, every_s: float = 0.05) -> float:
        """Send `data` over and over, a byte at a time, until something is said or the end comes.

        Returns the seconds since the connection was made.
        """
        self.socket.settimeout(every_s)
        try:
            for number in range(int(LIMIT_S / every_s)):
                self.send(data[number % len(data)].to_bytes())
                try:
                    self.socket.recv(1, socket.MSG_PEEK)
                except TimeoutError:
                    continue
                except ConnectionError:
                    pass
                return time.monotonic() - self.connected_s
        finally:
            self.socket.settimeout(LIMIT_S)
        raise AssertionError("it was let go on")

    def is_closed(self) -> bool:
        """Wait for the end; say whether it comes with nothing said before."""
        try:
            return self._read == b"" and self.socket.recv(1) == b""
        except ConnectionError:
            return True
