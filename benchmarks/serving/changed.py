"""Starts our service without one of its features, to see what it costs: WITHOUT names it.

WITHOUT=metrics python -m benchmarks.serving.changed --port 8000
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import orjson

from service import __main__
from service.api import request_bodies
from service.http import access_log, request_limits
from service.observability import metrics
from service.runtime import memory


def _without_metrics() -> None:
    metrics.count_request = lambda *_: None
    for metric in (metrics.BATCH_ROWS, metrics.RUN_SECONDS, metrics.QUEUE_ROWS):
        metric.labels = lambda *_: _Nothing()  # type: ignore[method-assign]


def _without_request_ids() -> None:
    access_log.AccessLog._new_id = lambda _: b"0"  # type: ignore[method-assign]


def _without_validation() -> None:
    request_bodies.parse_json = lambda schema, raw: schema.model_construct(**orjson.loads(raw))


def _without_limits() -> None:
    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["state"]["exchange"] = request_limits.Exchange(receive, send, sys.maxsize, self._held)
        await self._app(scope, receive, send)

    request_limits.RequestLimits.__call__ = call  # type: ignore[method-assign]


def _without_the_frozen_collector() -> None:
    memory.settle = lambda: None


class _Nothing:
    def observe(self, _: float) -> None:
        """Count nothing."""

    set = inc = observe


FEATURES: dict[str, Callable[[], None]] = {
    "metrics": _without_metrics,
    "request ids": _without_request_ids,
    "validation": _without_validation,
    "limits": _without_limits,
    "a frozen garbage collector": _without_the_frozen_collector,
}

if __name__ == "__main__":
    FEATURES.get(os.environ.get("WITHOUT", ""), lambda: None)()
    sys.exit(__main__.main(sys.argv[1:]))
