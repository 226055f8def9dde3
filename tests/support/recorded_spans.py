"""OpenTelemetry spans as its SDK ends them, in this process and sent nowhere."""

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import SpanKind

from service.observability.traces import Trace


class RecordedSpans:
    """A tracer, and the spans that have ended."""

    def __init__(self, *, sampled: bool = True) -> None:
        provider = TracerProvider(sampler=ALWAYS_ON if sampled else ALWAYS_OFF, shutdown_on_exit=False)
        self._ended = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._ended))
        self.tracer = provider.get_tracer("test")

    def begin(self, zero_ns: int = 0) -> Trace:
        """Begin the trace of a request."""
        return Trace(self.tracer, self.tracer.start_span("request", kind=SpanKind.SERVER), zero_ns)

    def all(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name in the order in which they ended."""
        return [span for span in self._ended.get_finished_spans() if span.name == name]

    def ended(self) -> dict[str, ReadableSpan]:
        """Return the spans that have ended by their names, of several of one name the last."""
        return {span.name: span for span in self._ended.get_finished_spans()}
