"""One connection: HTTP/1.1 with limits on what a client may send and on how long it may take.

    acceptor -> Connection -> CoalescedWrites -> socket
                    |-> application;  worker -> Connection.check, from time to time

What comes before there is a request is refused here, in the shape that all refusals have. No request has a
timer of its own: the server looks at all connections together.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from typing import Any, Literal, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from service.coordination.connection_counts import WorkerConnections
from service.errors import BodyTooLarge, HeadersTooLarge, RequestTimeout, ServiceError
from service.http.coalesced_writes import CoalescedWrites
from service.http.error_responses import problem_response
from service.http.exchange import LINGER_S, Exchange, HeldBytes
from service.http.headers import field_bytes
from service.http.pipelining import OneAtATime
from service.observability import metrics
from service.settings import Settings

State = dict[str, Any]

Phase = Literal["idle", "head", "body", "work", "ended"]
"""What comes next: nothing, the head of a request, its body, our answer to it, or the end."""

READ_BYTES = 1 << 16
"""A client that reads has to read as much in the time it has for it."""

MAX_UNSENT_BYTES = 1 << 14
"""Once a client has left as much of an answer unread, what makes the rest of a streamed one waits for it."""

READ_AHEAD_BYTES = 1 << 20
"""More than what comes of a streamed body while its last lines are worked on: it is read by 256 KiB."""

logger = logging.getLogger(__name__)


class Connection(OneAtATime):
    """Speaks HTTP/1.1 with one client; `connection_count` counts it until its end."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: State,
        connection_count: WorkerConnections,
        held: HeldBytes,
        settings: Settings,
    ) -> None:
        super().__init__(config, server_state, app_state, held)
        self._connection_count = connection_count
        self._longest_s: dict[Phase, float] = {
            "idle": settings.keep_alive_timeout_s,
            "head": settings.header_timeout_s,
            "body": math.inf,  # the exchange sees to it, which can still answer
            "work": math.inf,
            "ended": LINGER_S,
        }
        self._reader_timeout_s = settings.reader_timeout_s
        self._max_head_bytes = settings.max_header_bytes
        # What is around the chunks of a body may be as large as the largest body. It is five bytes or more
        # for each chunk: small chunks pass, but not a large body in chunks of one byte.
        self._max_message_bytes = settings.max_header_bytes + 2 * settings.max_body_bytes
        self._refused = False
        self._seen: tuple[Phase, object, int] = ("head", None, 0)
        self._since_s = self._read_s = time.monotonic()
        self._read_bytes = 0

    @property
    def _wire(self) -> CoalescedWrites:
        return cast(CoalescedWrites, self.transport)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        super().connection_made(CoalescedWrites(transport, self.loop))  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection_count.closed()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Start on a request whose head is not too large.

        Raises:
            BadRequest, HeadersTooLarge: the head cannot be taken.
        """
        is_long = self._message_bytes > self._max_head_bytes  # only then is it worth counting what is limited
        if is_long and len(self.url) + field_bytes(self.headers) > self._max_head_bytes:
            raise self._head_too_large()
        super().on_headers_complete()

    def _check_size(self) -> None:
        # The exchange limits the body but sees nothing around it: a head without end, trailers, tiny chunks
        # with long extensions. They are limited here, by all bytes of the message. Up to the size of a head
        # nothing can be too large, and most messages are no larger: they cost one comparison.
        if self._refused or self._message_bytes <= self._max_head_bytes:
            return
        # As trailers follow a body of any size, they are counted by their fields, and limited like a head.
        if self._awaits_head() or self._count_trailers() > self._max_head_bytes:
            self._refuse(self._head_too_large())
        elif self._message_bytes > self._max_message_bytes:
            self._check_streamed_size()

    def _head_too_large(self) -> HeadersTooLarge:
        return HeadersTooLarge(f"The head of a request may have {self._max_head_bytes} bytes.")

    def _check_streamed_size(self) -> None:
        # A body of lines may be of any length: what was released of it is no longer in memory.
        exchange = self._exchange()
        more_bytes = exchange.released_bytes + READ_AHEAD_BYTES if exchange and exchange.is_stream else 0
        if self._message_bytes > self._max_message_bytes + more_bytes:
            self._refuse(BodyTooLarge())

    def _exchange(self) -> Exchange | None:
        """Return the newest request's, if it has got that far."""
        exchange: Exchange | None = self.scope["state"].get("exchange") if self.scope else None
        return exchange

    def _awaits_head(self) -> bool:
        return self.cycle is None or self.cycle.scope is not self.scope

    def _refuse(self, error: ServiceError) -> None:
        """Answer in the application's place, and close the connection once the client had time to read.

        A message whose answer is out already, before the end of its body, gets no second one.
        """
        if self._slices.are_chunks and self.cycle.response_complete:
            self._is_deaf = True
            self.transport.close()
            return
        self._refused = self._is_deaf = True
        request_id = secrets.token_hex(8)
        logger.info("%s refused on arrival: %d %s", request_id, error.status, error.code)
        metrics.count_request("unknown", "other", error.status, 0)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.resume_reading()
        self.transport.write(_written(error, request_id))
        self.transport.write_eof()

    @property
    def unread_bytes(self) -> int:
        """Bytes of answers that the client has not taken yet."""
        return self._wire.waiting_bytes

    def check(self, now_s: float) -> None:
        """End the connection if its client has let it wait for too long."""
        if self._reads_too_slowly(now_s) or self._has_hung_up():
            self._wire.discard()
            return
        phase = self._note_phase(now_s)
        if now_s - self._since_s < self._longest_s[phase] or self.transport.is_closing():
            return
        if phase == "head" and self.scope is not None:
            self._refuse(RequestTimeout())
        self.transport.close()

    def waits_since_s(self, now_s: float) -> float:
        """Return since when it is its client's turn to say something; never, if an answer is its due."""
        return math.inf if self._note_phase(now_s) == "work" else self._since_s

    def end(self) -> None:
        """Make room for another connection."""
        self._wire.discard()

    def _note_phase(self, now_s: float) -> Phase:
        phase = self._phase()
        exchange = self._exchange()
        seen = phase, self.cycle, exchange.released_bytes if exchange else 0
        if seen != self._seen:
            self._seen, self._since_s = seen, now_s
        return phase

    def _phase(self) -> Phase:
        if self._refused:
            return "ended"
        if self.cycle is not None and not self.cycle.response_complete:
            return "body" if self.cycle.more_body else "work"
        return "head" if self._awaits_head() else "idle"

    def _reads_too_slowly(self, now_s: float) -> bool:
        taken_bytes = self._wire.taken_bytes
        if not self._wire.waiting_bytes or taken_bytes >= self._read_bytes + READ_BYTES:
            self._read_bytes, self._read_s = taken_bytes, now_s
        return now_s - self._read_s >= self._reader_timeout_s


def _written(error: ServiceError, request_id: str) -> bytes:
    """Return a refusal as it is sent."""
    response = problem_response(error, request_id)
    headers = [*response.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
    lines = [name + b": " + value + b"\r\n" for name, value in headers]
    return b"".join([STATUS_LINE[error.status], *lines, b"\r\n", bytes(response.body)])
