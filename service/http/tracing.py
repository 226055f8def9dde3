"""What happens around every request that may be traced: its span begins, and ends with its answer.

    worker -> Tracing -> AccessLog -> RequestLimits -> routes
                 |-> Trace -> trace_exporter

Part of the application only where the environment names a collector (see trace_exporter.py).

FastAPI's own tracing is off. In the place of this one it took 6% more processor time of an /encode that is
sampled and 29% where one in a hundred is, and needed a middleware all the same, for `traceresponse`, our
errors and the routes of fast_path.py. It also records what callers send, the query and the Host header, at
any length.
"""

from __future__ import annotations

import time

from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ServiceError
from service.http import access_log
from service.observability import traces
from service.observability.traces import Trace, Value

METHODS = access_log.METHODS | {"CONNECT", "TRACE"}

MAX_PATH = 256
"""Characters of a path that are kept: spans wait for the collector, and are to take little memory."""


class Tracing:
    """Traces every request from its arrival to the end of its answer, whatever that is."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = self._begin(scope)
        traces.enter(trace)
        said: dict[str, Value] = {}

        async def send_traced(message: Message) -> None:
            if message["type"] == "http.response.start":
                said["http.response.status_code"] = message["status"]
                headers = [*message.get("headers", ()), (b"traceresponse", trace.header)]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_traced)
        except BaseException as error:
            trace.fail(error.code if isinstance(error, ServiceError) else type(error).__qualname__)
            raise
        finally:
            said[traces.REQUEST_ID] = scope["state"]["request_id"]
            route = _route(scope)
            if route is not None:
                said["http.route"] = route
            trace.end(_name(scope), said)

    def _begin(self, scope: Scope) -> Trace:
        """Begin the trace of a request, as a part of its caller's if it sends W3C trace context."""
        zero_ns = time.time_ns() - time.perf_counter_ns()
        attributes: dict[str, Value] = {
            "http.request.method": _method(scope),
            "url.scheme": scope["scheme"],
            "url.path": scope["path"][:MAX_PATH],
            "network.protocol.version": scope["http_version"],
        }
        if scope["server"]:
            attributes["server.address"], attributes["server.port"] = scope["server"]
        context = self._propagator.extract(scope, getter=HEADERS)
        span = self._tracer.start_span(_name(scope), context, SpanKind.SERVER, attributes)
        return Trace(self._tracer, span, zero_ns)


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "_OTHER"


def _route(scope: Scope) -> str | None:
    return getattr(scope.get("route"), "path", None)


def _name(scope: Scope) -> str:
    """Return the name of a request's span: its method and, once it is known, its route."""
    method = scope["method"] if scope["method"] in METHODS else "HTTP"
    route = _route(scope)
    return method if route is None else f"{method} {route}"


class _Headers(Getter[Scope]):
    """A request's headers. One that comes twice is a list, and such a `traceparent` is not valid."""

    def get(self, carrier: Scope, key: str) -> list[str] | None:
        """Return the value of a header; `key` is in lower case."""
        name = key.encode()
        found = [value.decode("latin-1") for given, value in carrier["headers"] if given == name]
        return [",".join(found)] if found else None

    def keys(self, carrier: Scope) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier["headers"]]


HEADERS = _Headers()
