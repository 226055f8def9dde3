"""Requests that follow one another on a connection: uvicorn's HTTP/1.1 protocol, one request at a time.

    socket -> OneAtATime -> MessageSlices -> parser -> application

uvicorn parses whatever a client pipelines, and makes an object of each request. Here it waits as bytes, which
are counted, until the answer before it is out: what is refused is refused in its turn, and a request that has
come as a whole never loses its answer to what follows it.
"""

from __future__ import annotations

import select
from abc import abstractmethod
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.errors import BadRequest, ServiceError
from service.http.exchange import HeldBytes
from service.http.headers import field_bytes, framing
from service.http.message_slices import MessageSlices

MAX_WAITING_BYTES = 1 << 16
"""Once as much waits, no more is read from the client."""

CLIENT_CLOSED = getattr(select, "POLLRDHUP", 0)
"""The client has closed its end: known without reading what it sent before (Linux)."""

VERSIONS = ("1.0", "1.1")


class OneAtATime(HttpToolsProtocol):
    """Parses a request once the one before it is answered. What waits counts in `held`."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], held: HeldBytes
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._held = held
        self._slices = MessageSlices()
        self._waiting = b""
        """What came after the request that is being answered."""
        self._is_deaf = False
        """Whether what comes is read for nothing."""
        self._message_bytes = 0
        """Bytes of the message that is being parsed, with all that is around its body."""
        self._trailer_bytes = 0

    @abstractmethod
    def _refuse(self, error: ServiceError) -> None:
        """Answer in the application's place, and listen to nothing more."""

    @abstractmethod
    def _check_size(self) -> None:
        """Refuse a message that is too large."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._held.release(len(self._waiting))
        self._waiting = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, or let it wait."""
        self._unset_keepalive_if_required()
        self._parse(self._take_waiting() + data if self._waiting else data)

    def on_response_complete(self) -> None:
        """Go on to what has come meanwhile."""
        super().on_response_complete()
        if self._waiting and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._parse(self._take_waiting())

    def _parse(self, data: bytes) -> None:
        """Give the parser one slice after another, up to the end of a request that waits for its answer."""
        start = 0
        while start < len(data) and not self._is_deaf:
            if self._owes_an_answer():
                self._wait(data[start:])
                return
            end = self._slices.end(data, start)
            self._message_bytes += end - start
            start += self._parse_slice(memoryview(data)[start:end])
            if self._message_bytes:  # it has not ended with this slice
                self._check_size()

    def _parse_slice(self, data: memoryview) -> int:
        """Return how many bytes were parsed; those after an offer to upgrade are not."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._pass_over_upgrade()
            return int(offer.args[0])
        except httptools.HttpParserError as error:
            self._refuse_unreadable(error.__context__)
        return len(data)

    def _owes_an_answer(self) -> bool:
        """Return whether a request that has come as a whole, or one after it, waits for its answer."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        return bool(self.pipeline) or not self.cycle.more_body

    def _wait(self, data: bytes) -> None:
        """Keep what came after a request until that is answered; without room, close after the answer."""
        if not self._held.hold(len(data)):
            self.cycle.keep_alive = False
            self._is_deaf = True
            return
        self._waiting = data
        if len(data) >= MAX_WAITING_BYTES:
            self.transport.pause_reading()

    def _take_waiting(self) -> bytes:
        """Return what waits, and read on."""
        data, self._waiting = self._waiting, b""
        self._held.release(len(data))
        if len(data) >= MAX_WAITING_BYTES and not self.flow.read_paused:
            self.transport.resume_reading()
        return data

    def _refuse_unreadable(self, reason: BaseException | None) -> None:
        """Refuse what is not HTTP; if it follows a request that was whole, that is answered first."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or (cycle.more_body and not cycle.response_started):
            unknown = BadRequest("This is not an HTTP/1.1 request.")
            self._refuse(reason if isinstance(reason, ServiceError) else unknown)
        else:
            cycle.keep_alive = False
            self._is_deaf = True

    def on_headers_complete(self) -> None:
        """Check the head of a request, start its answer, and note how long its body is.

        Raises:
            BadRequest: others could read it differently, as to its host or to the length of its body.
        """
        hosts, length_bytes, coding = framing(self.headers)
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            raise BadRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            raise BadRequest("A request needs one Host header.")
        if coding is not None and coding.strip().lower() != b"chunked":
            raise BadRequest("Transfer-Encoding may be chunked and nothing else.")
        super().on_headers_complete()
        self._slices.begin_body(length_bytes, is_chunked=coding is not None)
        self.headers = []  # what comes now are trailers, which are not the request's headers

    def on_message_complete(self) -> None:
        """Note the end of a request, unless it is that of a head which is parsed once more."""
        if self.parser.should_upgrade() and self._should_upgrade():
            return
        self._check_size()
        super().on_message_complete()
        self._slices.end_message()
        self._message_bytes = self._trailer_bytes = 0

    def _count_trailers(self) -> int:
        """Return how large the trailers of the message are; none of them is kept."""
        self._trailer_bytes += field_bytes(self.headers)
        self.headers.clear()
        return self._trailer_bytes

    def _should_upgrade(self) -> bool:
        """Keep uvicorn from answering a head with an offer: it is parsed once more, without."""
        return bool(self.parser.get_method() != b"CONNECT")

    def _pass_over_upgrade(self) -> None:
        """Parse a head again without its offer to upgrade, since the parser would read no body after it.

        A server may ignore such an offer (RFC 9110, section 7.8). What follows a CONNECT is not HTTP.
        """
        if not self._should_upgrade():
            self.cycle.keep_alive = False
            self._is_deaf = True
            return
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [name + b": " + value for name, value in self.scope["headers"] if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parse_slice(memoryview(b"\r\n".join([*lines, b"", b""])))

    def _has_hung_up(self) -> bool:
        """Return whether the client is gone where reading would not show it, since nothing is read."""
        if len(self._waiting) < MAX_WAITING_BYTES:
            return False
        end = select.poll()
        end.register(self.transport.get_extra_info("socket").fileno(), CLIENT_CLOSED)
        return bool(end.poll(0))
