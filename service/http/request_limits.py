"""What every request is held to: an origin, a key, a deadline, a number of bytes, a client that is there.

    AccessLog -> RequestLimits -> routes

Whatever is raised in answering a request is answered here, in the shape of its protocol. Plain ASGI, since
every request pays for it. It leaves `exchange` in `scope["state"]`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import InvalidField, ServiceError
from service.http.api_keys import Keys
from service.http.exchange import Exchange, HeldBytes
from service.http.headers import header
from service.http.open_requests import OpenRequests
from service.http.origins import Origins
from service.settings import Settings

logger = logging.getLogger(__name__)


class RequestLimits:
    """Holds a request to origin, key, deadline and a number of bytes, and drops it when its client goes."""

    def __init__(
        self, app: ASGIApp, settings: Settings, keys: Keys, open_requests: OpenRequests, held: HeldBytes
    ) -> None:
        self._app = app
        self._origins = Origins(settings)
        self._keys = keys
        self._timeout_s = settings.request_timeout_s
        self._body_timeout_s = settings.body_timeout_s
        self._max_body_bytes = settings.max_body_bytes
        self._open_requests = open_requests
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(receive, send, self._max_body_bytes, self._held)
        try:
            self._origins.check(scope)
            self._keys.check(scope)
            now_s = time.monotonic()
            exchange.deadline_s = now_s + _timeout_s(scope, self._timeout_s)
            exchange.body_deadline_s = now_s + self._body_timeout_s
            exchange.check_announced(scope)
            scope["state"]["exchange"] = exchange
            self._open_requests.begin(exchange)
            await self._app(scope, exchange.receive, exchange.send)
        except ServiceError as error:
            exchange.error = error
        except ClientDisconnect:
            exchange.client_disconnected = True
        except asyncio.CancelledError:
            if not exchange.was_cancelled:
                raise
        except Exception:
            logger.exception("%s %s failed", scope["state"]["request_id"], scope["method"])
            exchange.error = ServiceError()
        finally:
            self._open_requests.end(exchange)
        if exchange.error is not None and not exchange.client_disconnected:
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
