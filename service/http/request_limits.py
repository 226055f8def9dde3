"""What happens around every request, before its route and after it.

    server -> Observe (request id, log, metrics) -> Limit (key, deadline, body, vanished client) -> routes

Plain ASGI, since these two are paid for by every request. They leave `request_id` and `exchange` in
`scope["state"]`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import random
import re
import secrets
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import InvalidField, ServiceError
from service.http import error_responses
from service.http.api_keys import Keys
from service.http.exchange import Exchange, HeldBytes
from service.http.headers import header
from service.http.open_requests import Drain, Watch
from service.observability import metrics
from service.settings import Settings

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

CLIENT_CLOSED = 499
"""The status under which a request is counted whose client left before the answer."""

logger = logging.getLogger(__name__)


class Observe:
    """Gives a request its id, answers what the application failed to, and tells log and metrics."""

    def __init__(self, app: ASGIApp, drain: Drain, log_requests_share: float) -> None:
        self._app = app
        self._drain = drain
        self._share = log_requests_share
        self._process_id = secrets.token_hex(4).encode()
        self._numbers = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = header(scope, b"x-request-id")
        request_id = given if given and REQUEST_ID.fullmatch(given) else self._new_id()
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
            response = error_responses.response(ServiceError(), scope)
            await response(scope, receive, send_observed)
        finally:
            self._tell(scope, status, time.perf_counter() - started)

    def _new_id(self) -> bytes:
        """Return 16 hexadecimal digits: half say which process, half which of its requests."""
        return b"%s%08x" % (self._process_id, next(self._numbers))

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if scope["method"] in METHODS else "other"
        status = status or CLIENT_CLOSED
        metrics.count_request(route, method, status, seconds)
        shown = status >= 400 or random.random() < self._share  # noqa: S311 - no secret
        level = logging.INFO if shown else logging.DEBUG
        if logger.isEnabledFor(level):
            told = {
                "request_id": scope["state"]["request_id"],
                "method": method,
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1e3, 1),
            }
            logger.log(level, "%s %s %s %d %.1f ms", *told.values(), extra={"request": told})


class Limit:
    """Holds a request to a key, a deadline and a number of bytes, and drops it when its client goes."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: Keys, watch: Watch, held: HeldBytes) -> None:
        self._app = app
        self._keys = keys
        self._timeout_s = settings.request_timeout_s
        self._body_timeout_s = settings.body_timeout_s
        self._max_body_bytes = settings.max_body_bytes
        self._watch = watch
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(receive, send, self._max_body_bytes, self._held)
        try:
            self._keys.check(scope)
            now_s = time.monotonic()
            exchange.deadline_s = now_s + _timeout_s(scope, self._timeout_s)
            exchange.body_deadline_s = now_s + self._body_timeout_s
            exchange.check_announced(scope)
            scope["state"]["exchange"] = exchange
            self._watch.begin(exchange)
            await self._app(scope, exchange.receive, exchange.send)
        except ServiceError as error:
            exchange.error = error
        except ClientDisconnect:
            exchange.gone = True
        except asyncio.CancelledError:
            if not exchange.was_cut:
                raise
        finally:
            self._watch.end(exchange)
        if exchange.error is not None and not exchange.gone:
            await exchange.refuse(exchange.error, scope)


def _timeout_s(scope: Scope, longest_s: float) -> float:
    """Return the seconds a request may take; its X-Request-Timeout-S can shorten the setting's.

    Raises:
        InvalidField: the header is not a positive number.
    """
    given = header(scope, b"x-request-timeout-s")
    if given is None:
        return longest_s
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidField.at(("header", "x-request-timeout-s"), "must be a positive number of seconds")
    return min(seconds, longest_s)
