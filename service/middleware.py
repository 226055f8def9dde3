"""What happens around every request, before its route and after it.

    server -> Observe (request id, log, metrics) -> Limit (deadline, body bytes, vanished client) -> routes

Plain ASGI, since these two are paid for by every request. They leave `request_id` and `deadline` (a time of
`time.monotonic()`) in `scope["state"]`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import secrets
import time
from contextlib import suppress

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import telemetry
from service.drain import Drain
from service.errors import BodyTooLarge, DeadlineExceeded, InvalidField, ServiceError, problem_response
from service.settings import Settings

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

CLIENT_CLOSED = 499
"""The status under which a request is counted whose client left before the answer."""

WATCH_AFTER_S = 0.02
"""Most requests are answered before it is worth looking whether their client is still there."""

LINGER_S = 2.0
"""Time to read on behind a refusal: a connection closed on unread bytes may take the refusal with it."""

logger = logging.getLogger(__name__)


class Observe:
    """Gives a request its id, answers what the application failed to, and tells log and metrics."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = _header(scope, b"x-request-id")
        request_id = given if given and REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        status = 0

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id)]
                if self._drain.active:
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        except Exception:
            logger.exception("%s %s failed", scope["state"]["request_id"], scope["method"])
            if status:
                raise
            response = problem_response(ServiceError(), scope["state"]["request_id"])
            await response(scope, receive, send_observed)
        finally:
            self._tell(scope, status, time.perf_counter() - started)

    @staticmethod
    def _tell(scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if scope["method"] in METHODS else "other"
        status = status or CLIENT_CLOSED
        telemetry.count_request(route, method, status, seconds)
        level = logging.INFO if status >= 400 else logging.DEBUG
        if logger.isEnabledFor(level):
            request_id = scope["state"]["request_id"]
            logger.log(level, "%s %s %s %d %.1f ms", request_id, method, route, status, seconds * 1e3)


class Limit:
    """Holds a request to its deadline, its body to a number of bytes, and drops it when its client goes."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._timeout_s = settings.request_timeout_s
        self._max_body_bytes = settings.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send, self._max_body_bytes)
        try:
            timeout_s = _timeout_s(scope, self._timeout_s)
            exchange.check_announced(scope)
            scope["state"]["deadline"] = time.monotonic() + timeout_s
            async with asyncio.timeout(timeout_s) as exchange.timeout:
                await self._app(scope, exchange.receive, exchange.send)
        except ServiceError as error:
            exchange.error = error
        except ClientDisconnect:
            exchange.gone = True
        except TimeoutError:
            if exchange.timeout is None or not exchange.timeout.expired():
                raise
            exchange.error = exchange.error or DeadlineExceeded()
        finally:
            exchange.stop_watching()
        if exchange.error is not None and not exchange.gone:
            await exchange.refuse(exchange.error, scope)


class _Exchange:
    """One request and its answer, on their way between the server and the application."""

    __slots__ = (
        "_max_bytes",
        "_read_all",
        "_read_bytes",
        "_receive",
        "_send",
        "_started",
        "_watch",
        "error",
        "gone",
        "timeout",
    )

    def __init__(self, receive: Receive, send: Send, max_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        self._read_bytes = 0
        self._read_all = False
        self._started = False
        self._watch: asyncio.TimerHandle | asyncio.Task[None] | None = None
        self.timeout: asyncio.Timeout | None = None
        self.error: ServiceError | None = None
        """What to answer in the place of the application."""
        self.gone = False

    def check_announced(self, scope: Scope) -> None:
        """Refuse a body by the length it announces, before any of it is read.

        Raises:
            BodyTooLarge: it would be over the limit.
        """
        announced = _header(scope, b"content-length")
        if announced and announced.isdigit() and int(announced) > self._max_bytes:
            raise self._too_large()

    async def receive(self) -> Message:
        """Pass a piece of the body on.

        Raises:
            BodyTooLarge: with it the body is over the limit, whatever it announced.
        """
        message = await self._receive()
        self._note(message)
        if self._read_bytes > self._max_bytes:
            self.error = self._too_large()
            raise self.error
        return message

    async def send(self, message: Message) -> None:
        """Pass the application's answer on, unless it is refused already."""
        if self.error is None:
            self._started = True
            await self._send(message)

    async def refuse(self, error: ServiceError, scope: Scope) -> None:
        """Answer with an error, and close the connection if the request's body was not read to its end.

        Raises the error if the application's answer has begun: all that is left then is to cut it off.
        """
        if self._started:
            raise error
        response = problem_response(error, scope["state"]["request_id"])
        if self._read_all or scope["method"] in ("GET", "HEAD"):
            await response(scope, self._receive, self._send)
            return
        response.headers["connection"] = "close"
        await response(scope, self._receive, self._send_and_linger)

    def stop_watching(self) -> None:
        """Stop looking out for the client."""
        if self._watch:
            self._watch.cancel()

    def _note(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self.gone = True
        else:
            self._read_bytes += len(message.get("body", b""))
        if not message.get("more_body", False) and not self._read_all:
            self._read_all = True
            self._watch = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start_watching)

    def _start_watching(self) -> None:
        self._watch = asyncio.ensure_future(self._watch_client())

    async def _watch_client(self) -> None:
        """End the request when its client hangs up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self.timeout:
            self.timeout.reschedule(0)

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


def _timeout_s(scope: Scope, longest_s: float) -> float:
    """Return the seconds a request may take; its X-Request-Timeout-S can shorten the setting's.

    Raises:
        InvalidField: the header is not a positive number.
    """
    given = _header(scope, b"x-request-timeout-s")
    if given is None:
        return longest_s
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidField.at(("header", "x-request-timeout-s"), "must be a positive number of seconds")
    return min(seconds, longest_s)


def _header(scope: Scope, name: bytes) -> bytes | None:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None
