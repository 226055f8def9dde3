"""All open requests: their deadlines, whether their clients are there, and whether more are wanted.

    RequestLimits -> OpenRequests -> Exchange;  worker -> Drain -> /health/ready, AccessLog

A timer for each request would cost as much as decoding its image, so one looks after all that are open.
`create_app` makes one `Drain`; the server begins it when it is told to stop, `/health/ready` then answers 503
and the middleware closes connections behind their answers.
"""

from __future__ import annotations

import asyncio
import time

from service.http.exchange import Exchange

CHECK_EVERY_S = 0.02
"""Time from one look at the open requests to the next: a deadline is kept as closely as that."""


class OpenRequests:
    """Looks at every open exchange of one event loop from time to time."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[Exchange] = set()
        self._is_scheduled = False

    def begin(self, exchange: Exchange) -> None:
        """Watch over an exchange on which the current task works."""
        if self._loop is None:  # kept, since asking for it is a system call
            self._loop = asyncio.get_running_loop()
        exchange.begin(asyncio.current_task(self._loop))
        self._open.add(exchange)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_later(CHECK_EVERY_S, self._check, self._loop)

    def end(self, exchange: Exchange) -> None:
        """Let go of an exchange."""
        self._open.discard(exchange)
        exchange.end()

    def hurry(self, end_s: float) -> None:
        """Bring the deadline of every open exchange forward to `end_s`."""
        for exchange in self._open:
            exchange.hurry(end_s)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = time.monotonic()
        for exchange in self._open:
            exchange.check(now_s)
        self._is_scheduled = bool(self._open)
        if self._is_scheduled:
            loop.call_later(CHECK_EVERY_S, self._check, loop)


class Drain:
    """A switch that goes from serving to draining, once."""

    def __init__(self) -> None:
        self._active = False

    @property
    def active(self) -> bool:
        """Say whether the process has been told to stop."""
        return self._active

    def begin(self) -> None:
        """Start draining: new work is still done, but callers are asked to go elsewhere."""
        self._active = True
