"""One request and its answer on their way between the server and the application.

RequestLimits -> Exchange (body bytes, refusals); OpenRequests -> Exchange (deadline, vanished client)
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress

import orjson
from starlette.types import Message, Receive, Scope, Send

from service.errors import BodyTooLarge, DeadlineExceeded, QueueFull, RequestTimeout, ServiceError
from service.http import error_responses
from service.http.content_negotiation import NDJSON, media_type_of
from service.http.headers import header, read_number
from service.observability import traces

WATCH_AFTER_S = 0.25
"""Most requests are answered before it is worth looking whether their client is still there."""

SHORT_BODY_BYTES = 1 << 16
"""A body that announces no more is passed over where a request is refused before it is read."""

LINGER_S = 2.0
"""Time to read on behind a refusal: a connection closed on unread bytes may take the refusal with it."""


class HeldBytes:
    """What the exchanges of one event loop hold together: of bodies, or of what they inflate to."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0

    def hold(self, more_bytes: int) -> bool:
        """Count more bytes until they are released, or return False if they are too many."""
        if self._bytes + more_bytes > self._max_bytes:
            return False
        self._bytes += more_bytes
        return True

    def release(self, done_bytes: int) -> None:
        """Count so many bytes no more."""
        self._bytes -= done_bytes


class Exchange:
    """A request whose body is counted as it is read, and which can be cut off.

    A stream is one whose answer begins before it is whole, perhaps before its body is. The limits hold for
    each of its steps from line to line, and what goes wrong behind its first line is said in its last.
    """

    __slots__ = (
        "_begun_s",
        "_end_s",
        "_held",
        "_max_bytes",
        "_read_all",
        "_read_bytes",
        "_receive",
        "_receiving",
        "_send",
        "_started",
        "_step_s",
        "_task",
        "_watcher",
        "body_deadline_s",
        "client_disconnected",
        "deadline_s",
        "error",
        "held_bytes",
        "is_stream",
        "released_bytes",
        "was_cancelled",
    )

    def __init__(self, receive: Receive, send: Send, max_bytes: int, held: HeldBytes) -> None:
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        self._held = held
        self._read_bytes = 0
        self._read_all = False
        self._receiving = False
        self._started = False
        self._begun_s = 0.0
        self._end_s = math.inf
        self._step_s = math.inf, math.inf
        self._task: asyncio.Task[object] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.deadline_s = math.inf
        """When the answer has to be there, on the scale of `time.monotonic()`."""
        self.body_deadline_s = math.inf
        """When the whole body has to be there."""
        self.error: ServiceError | None = None
        """What to answer in the place of the application."""
        self.client_disconnected = False
        self.held_bytes = 0
        """Bytes that count among those of all exchanges."""
        self.released_bytes = 0
        """Bytes of a streamed body that were held, and are not any more."""
        self.is_stream = self.was_cancelled = False

    def begin(self, task: asyncio.Task[object] | None) -> None:
        """Note the task that works on the answer."""
        self._task, self._begun_s = task, time.monotonic()

    def stream(self) -> None:
        """Become a stream: every step has as much time as a whole request."""
        self.is_stream = True
        self._step_s = self.deadline_s - self._begun_s, self.body_deadline_s - self._begun_s

    def release(self, done_bytes: int) -> None:
        """Let go of the first bytes of a streamed body that are still held."""
        self._held.release(done_bytes)
        self.held_bytes -= done_bytes
        self.released_bytes += done_bytes

    def hurry(self, end_s: float) -> None:
        """Bring the end forward, of a stream too."""
        self._end_s = min(self._end_s, end_s)
        self.deadline_s = min(self.deadline_s, end_s)

    def end(self) -> None:
        """Let go of the body and stop looking out for the client; a task that was cut goes on after this."""
        self._held.release(self.held_bytes)
        if self._watcher:
            self._watcher.cancel()
        if self.was_cancelled and self._task:
            self._task.uncancel()

    def check(self, now_s: float) -> None:
        """Cut the work off if its time is up, and look out for its client if it takes long."""
        if self.was_cancelled:
            return
        if now_s >= self.deadline_s:
            self.error = self.error or DeadlineExceeded()
            self._cancel()
        elif self._receiving and now_s >= self.body_deadline_s and not self._read_all:
            self.error = self.error or RequestTimeout()
            self._cancel()
        elif self._read_all and self._watcher is None and now_s >= self._begun_s + WATCH_AFTER_S:
            self._watcher = asyncio.ensure_future(self._watch_client())

    def check_announced(self, scope: Scope) -> None:
        """Refuse a body by the length it announces, before any of it is read; one of lines has any length.

        Raises:
            BodyTooLarge: it would be over the limit.
        """
        announced_bytes = read_number(header(scope, b"content-length") or b"")
        if announced_bytes is not None and announced_bytes > self._max_bytes:
            content_type = header(scope, b"content-type") or b""
            if media_type_of(content_type.decode("latin-1")) != NDJSON:
                raise self._too_large()

    async def receive(self) -> Message:
        """Pass a piece of the body on.

        Raises:
            BodyTooLarge: with it the body is over the limit; of a stream, what was held of it before.
            QueueFull: with it all bodies together are over theirs.
        """
        # `check` holds the client to the body's deadline only while the application waits for it: between two
        # lines of a stream it is the application that takes its time. A task that is cancelled in here leaves
        # the mark, and so a body that was begun is not taken for one that nobody asked for.
        self._receiving = True
        message = await self._receive()
        self._receiving = False
        self._note(message)
        more_bytes = len(message.get("body", b""))
        counted_bytes = self.held_bytes if self.is_stream else self._read_bytes
        if counted_bytes > self._max_bytes:
            # Raising ends the reading. It is kept as well, since an application that swallows what is raised
            # could still answer as if it had read everything.
            self.error = self._too_large()
            raise self.error
        self.hold(more_bytes)
        return message

    def hold(self, more_bytes: int) -> None:
        """Count bytes that are kept until the answer: of the body, or of what it inflates to.

        Raises:
            QueueFull: with them all requests together hold more than they may.
        """
        if not self._held.hold(more_bytes):
            raise QueueFull("Too much is being sent here at once.", headers={"Retry-After": "1"})
        self.held_bytes += more_bytes

    async def send(self, message: Message) -> None:
        """Pass the application's answer on, unless its time was up before.

        A stream waits here for its client to read; that it does is up to the connection.
        """
        # `refuse` answers in its place: a late application must not begin a second answer, or mix into it.
        if self.error is not None:
            return
        self._started = True
        if not self.is_stream:
            await self._send(message)
            return
        # The answer may end before its body has been read, and what is left of that is not a next request.
        if message["type"] == "http.response.start" and not self._read_all:
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        # How long its client takes to read is not the stream's own time: no step's deadline runs meanwhile,
        # and the next step begins once the line is out.
        self.deadline_s = self._end_s
        await self._send(message)
        now_s = time.monotonic()
        self.deadline_s = min(now_s + self._step_s[0], self._end_s)
        self.body_deadline_s = now_s + self._step_s[1]

    async def refuse(self, error: ServiceError, scope: Scope) -> None:
        """Answer with an error, and close the connection if much of the request's body was not read.

        Raises the error if an answer that is no stream has begun: all that is left then is to cut it off.
        """
        # The status is sent, so a stream can only say it in its last line.
        if self._started:
            await self._end_stream(error, scope)
            return
        response = error_responses.error_response(error, scope)
        if self._read_all or self._has_short_body(scope):
            await response(scope, self._receive, self._send)
            return
        # Reading a long body to its end for nothing would let a refused client hold the connection. Closing
        # it at once resets it, though, and the client loses the refusal: it has a while to stop and to read.
        response.headers["connection"] = "close"
        await response(scope, self._receive, self._send_and_linger)

    def _has_short_body(self, scope: Scope) -> bool:
        """Return whether the body, of which nothing was read, is not worth closing the connection for.

        One in chunks may be as short as most are: the connection ends if it turns out to be too large.
        """
        if self._receiving or self._read_bytes:
            return False
        announced_bytes = read_number(header(scope, b"content-length") or b"0")
        return announced_bytes is not None and announced_bytes <= min(SHORT_BODY_BYTES, self._max_bytes)

    async def _end_stream(self, error: ServiceError, scope: Scope) -> None:
        if not self.is_stream:
            raise error
        traces.refuse(error)
        line = orjson.dumps({"error": error.problem(scope["state"]["request_id"])}) + b"\n"
        send = self._send if self._read_all else self._send_and_linger
        await send({"type": "http.response.body", "body": line})

    def _note(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self.client_disconnected = True
        else:
            self._read_bytes += len(message.get("body", b""))
        self._read_all = not message.get("more_body", False)

    def _cancel(self) -> None:
        self.was_cancelled = True
        if self._task:
            self._task.cancel()

    async def _watch_client(self) -> None:
        """End the request when its client hangs up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.client_disconnected = True
        if not self.was_cancelled:
            self._cancel()

    async def _send_and_linger(self, message: Message) -> None:
        """Send an answer, reading a while longer before its end, which closes the connection."""
        if message["type"] == "http.response.body":
            await self._send({**message, "more_body": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await self._discard()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _discard(self) -> None:
        limit = self._read_bytes + self._max_bytes
        while not self._read_all and self._read_bytes <= limit:
            self._note(await self._receive())

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"A request body may have {self._max_bytes} bytes.")
