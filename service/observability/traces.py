"""The trace of one request, where requests are traced: what its spans say, and when they were.

    Tracing -> Trace;  metrics.Phase, batch -> Trace.add;  Model, error_responses -> what the request came to

Whatever works on a request finds its trace here. Where nothing is traced there is None to be found, and that
is all that it costs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import NamedTuple

from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

from service.errors import ServiceError

MODEL, VERSION, GRAPH = "latent.model", "latent.version", "latent.graph"

ROWS = "latent.rows"
"""Rows of the request itself; of all its runs together where it stands at the request."""

BATCH_ROWS, BATCH_REQUESTS = "latent.batch.rows", "latent.batch.requests"
"""Of a run, which the request may have shared with others."""

REQUEST_ID = "latent.request_id"

PROBLEM = "latent.problem"
"""Why the request was refused or failed: the `code` of its answer."""

ERROR = "error.type"

Value = str | int
Attributes = Mapping[str, Value]
NO_ATTRIBUTES: Attributes = {}

_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


class Ids(NamedTuple):
    """How a request is found again, in hexadecimal digits."""

    trace_id: str
    span_id: str


class Trace:
    """The server span of a request and what becomes its children, all on one clock.

    Times are those of `time.perf_counter()`. Where the request is not sampled there are ids and nothing else.
    """

    __slots__ = ("_rows", "_span", "_tracer", "_zero_ns", "ids", "is_recorded")

    def __init__(self, tracer: Tracer, span: Span, zero_ns: int) -> None:
        """Take up a span that was started; `zero_ns` is when the times were 0, in nanoseconds since 1970."""
        context = span.get_span_context()
        self._tracer = tracer
        self._span = span
        self._zero_ns = zero_ns
        self._rows = 0
        self.is_recorded = span.is_recording()
        self.ids = Ids(format_trace_id(context.trace_id), format_span_id(context.span_id))

    @property
    def header(self) -> bytes:
        """Return the value of the header `traceresponse`."""
        flags = self._span.get_span_context().trace_flags
        return f"00-{self.ids.trace_id}-{self.ids.span_id}-{flags:02x}".encode()

    def note(self, attributes: Attributes) -> None:
        """Say something of the whole request."""
        self._span.set_attributes(attributes)

    def note_run(self, model: str, version: int, rows: int) -> None:
        """Say which model ran, and on how many rows; the rows of all runs are added up."""
        self._rows += rows
        self.note({MODEL: model, VERSION: version, ROWS: self._rows})

    def fail(self, error: str) -> None:
        """Say that the request failed, and of what."""
        self._span.set_attribute(ERROR, error)
        self._span.set_status(StatusCode.ERROR)

    def add(
        self,
        name: str,
        started_s: float,
        ended_s: float,
        attributes: Attributes,
        *,
        link: SpanContext | None = None,
        error: str | None = None,
    ) -> SpanContext:
        """Add a child that is over, and return what others may link to."""
        span = self._tracer.start_span(
            name,
            set_span_in_context(self._span),
            attributes=attributes if error is None else {**attributes, ERROR: error},
            links=() if link is None else (Link(link),),
            start_time=self._ns(started_s),
        )
        if error is not None:
            span.set_status(StatusCode.ERROR)
        span.end(self._ns(ended_s))
        return span.get_span_context()

    def end(self, name: str, attributes: Attributes) -> None:
        """End the request's span now, under its final name."""
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        self._span.end(self._ns(time.perf_counter()))

    def _ns(self, seconds: float) -> int:
        return self._zero_ns + round(seconds * 1e9)


def current() -> Trace | None:
    """Return the trace of the request that is worked on, if it has one."""
    return _trace.get()


def recorded() -> Trace | None:
    """Return the same if it is sampled, so that somebody will see what is said there."""
    trace = _trace.get()
    return trace if trace is not None and trace.is_recorded else None


def enter(trace: Trace) -> None:
    """Make a trace the current one, for the rest of this task."""
    _trace.set(trace)


def refuse(error: ServiceError) -> None:
    """Say why the request gets no better answer; what is not the caller's fault is a failure."""
    trace = recorded()
    if trace is None:
        return
    trace.note({PROBLEM: error.code})
    if error.status >= 500:
        trace.fail(error.code)
