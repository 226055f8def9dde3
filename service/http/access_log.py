"""What is reported of every request: its id, a line in the log, and its metrics.

    worker -> AccessLog -> RequestLimits -> routes

Plain ASGI, since every request pays for it. It leaves `request_id` in `scope["state"]`.
"""

from __future__ import annotations

import itertools
import logging
import random
import re
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.headers import header
from service.http.open_requests import Drain
from service.observability import metrics

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

CLIENT_CLOSED = 499
"""The status under which a request is counted whose client left before the answer."""


class AccessLog:
    """Gives a request its id, and reports to log and metrics what became of it."""

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
        finally:
            self._log(scope, status, time.perf_counter() - started)

    def _new_id(self) -> bytes:
        """Return 16 hexadecimal digits: half say which process, half which of its requests."""
        return b"%s%08x" % (self._process_id, next(self._numbers))

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if scope["method"] in METHODS else "other"
        status = status or CLIENT_CLOSED
        metrics.count_request(route, method, status, seconds)
        shown = status >= 400 or random.random() < self._share  # noqa: S311 - no secret
        level = logging.INFO if shown else logging.DEBUG
        if logger.isEnabledFor(level):
            fields = {
                "request_id": scope["state"]["request_id"],
                "method": method,
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1e3, 1),
            }
            logger.log(level, "%s %s %s %d %.1f ms", *fields.values(), extra={"request": fields})
