"""A receiver of OTLP over HTTP, which reads what is sent with OpenTelemetry's own protobuf messages."""

import gzip
import http.server
import re
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from support.service_process import wait_until

ERROR = Status.STATUS_CODE_ERROR
UNSET = Status.STATUS_CODE_UNSET
SERVER = Message.SPAN_KIND_SERVER

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
"""Variables for a service whose spans do not linger."""


@dataclass(frozen=True)
class Span:
    """One span as it arrived; ids are hexadecimal digits, times nanoseconds since 1970."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start_ns: int
    end_ns: int
    status: int
    trace_state: str
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    resource: dict[str, Any]

    def is_within(self, other: "Span") -> bool:
        """Tell whether it neither began before the other nor ended after it."""
        return other.start_ns <= self.start_ns <= self.end_ns <= other.end_ns


class Collector:
    """Listens on a free port while it is a context; `address` is what a service is told."""

    def __init__(self, *, answers: bool = True) -> None:
        """Receive; one that does not answer takes requests in and leaves them hanging."""
        self.spans: list[Span] = []
        self.asked = threading.Event()
        ended = self._ended = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.asked.set()
                if not answers:
                    ended.wait()
                    return
                assert self.path == "/v1/traces"
                assert self.headers["content-type"] == "application/x-protobuf"
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                collector.spans += read(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Collector":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def trace(self, trace_id: str, names: Iterable[str] = ()) -> list[Span]:
        """Return the spans of a trace in their order, once its server span and these others are there."""
        wanted = set(names)

        def found() -> list[Span]:
            return [span for span in self.spans if span.trace_id == trace_id]

        def is_whole() -> bool:
            return SERVER in [span.kind for span in found()] and wanted <= {span.name for span in found()}

        wait_until(is_whole, f"the trace {trace_id} is there")
        return sorted(found(), key=lambda span: (span.kind != SERVER, span.start_ns))


def read(request: ExportTraceServiceRequest) -> list[Span]:
    """Return the spans of one export."""
    return [
        Span(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            kind=span.kind,
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            status=span.status.code,
            trace_state=span.trace_state,
            attributes=_values(span.attributes),
            links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
            resource=_values(sent.resource.attributes),
        )
        for sent in request.resource_spans
        for scope in sent.scope_spans
        for span in scope.spans
    ]


def _values(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def parent(*, sampled: bool = True) -> tuple[str, str, dict[str, str]]:
    """Return the ids of a caller's span, and the header that says them."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-{int(sampled):02x}"}


def traceresponse(answer: httpx.Response) -> tuple[str, str, str]:
    """Return the trace id, the span id and the flags that an answer carries."""
    found = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", answer.headers["traceresponse"])
    assert found, answer.headers["traceresponse"]
    return found[1], found[2], found[3]
