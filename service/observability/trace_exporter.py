"""Where finished traces go: to a collector by OTLP over HTTP, if the environment names one.

    __main__ -> check;  create_app -> start -> Exporter -> batch processor (a thread) -> collector

The variables are OpenTelemetry's own and most are read by its SDK, which is imported only if there is a
collector; docs/tracing.md has those that matter.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from urllib.parse import urlsplit

from opentelemetry.trace import Tracer

from service.version import VERSION

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORTER = "OTEL_TRACES_EXPORTER"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

QUEUE, BATCH = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
NUMBERS = {QUEUE: 2048, BATCH: 512, "OTEL_BSP_SCHEDULE_DELAY": 5000}
"""The numbers that the queue of spans is made with, and OpenTelemetry's defaults."""

NAME = "latent-service"
"""What the service calls itself unless OTEL_SERVICE_NAME says otherwise."""

CONVENTIONS = "https://opentelemetry.io/schemas/1.44.0"
"""The semantic conventions that the names of attributes follow."""

FLUSH_S = 2.0
"""Time to hand over the last spans at the end; a collector that does not answer costs no more than this."""


class CannotTrace(Exception):
    """Traces are asked for and cannot be sent; the message is one line that says why."""


def check() -> None:
    """Make sure that traces can be sent, if they are asked for; what it takes is imported then.

    What the SDK logs and ignores, such as an unknown sampler, is left to it. Refused is what would raise in
    every worker, and an exporter or protocol that the SDK does not read: it would send OTLP all the same.

    Raises:
        CannotTrace: the endpoint is not a URL, the exporter or the protocol is not spoken here, a number is
            not valid or does not fit the others, or a package is missing.
    """
    endpoint = _endpoint()
    if endpoint is None:
        return
    if not _is_address(os.environ[endpoint]):
        raise CannotTrace(f"{endpoint}: must be a URL such as http://localhost:4318")
    if os.environ.get(EXPORTER, "otlp") not in ("otlp", ""):
        raise CannotTrace(f"{EXPORTER}: must be otlp or none")
    for protocol in PROTOCOLS:
        if os.environ.get(protocol, "http/protobuf") not in ("http/protobuf", ""):
            raise CannotTrace(f"{protocol}: traces are sent as http/protobuf only")
    _check_numbers()
    try:
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: F401, PLC0415
        from opentelemetry.sdk.trace import SpanLimits  # noqa: PLC0415
    except ImportError:
        raise CannotTrace(
            f"{endpoint} is set, which needs more packages: pip install 'latent-service[tracing]'"
        ) from None
    try:
        SpanLimits()
    except ValueError as error:  # names the variable
        raise CannotTrace(str(error)) from None


def _is_address(text: str) -> bool:
    """Return whether spans can be sent to this URL."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is not a number
        return False


def _check_numbers() -> None:
    """Make sure that the queue of spans can be made; the SDK's own refusal does not name the variable."""
    found = {name: _number(name) for name in NUMBERS}
    if found[BATCH] > found[QUEUE]:
        raise CannotTrace(f"{BATCH}: must be at most {QUEUE}, {found[QUEUE]}")


def _number(name: str) -> int:
    try:
        number = int(os.environ.get(name, "").strip() or NUMBERS[name])
    except ValueError:
        number = 0
    if number < 1:
        raise CannotTrace(f"{name}: must be a whole number from 1 on")
    return number


def _endpoint() -> str | None:
    """Return the variable that names the collector, unless another one says to send nothing."""
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_off or os.environ.get(EXPORTER) == "none":
        return None
    return next((name for name in ENDPOINTS if os.environ.get(name)), None)


def start() -> Exporter | None:
    """Return what makes traces and sends them; None if the environment names no collector."""
    return None if _endpoint() is None else Exporter()


class Exporter:
    """Sends the spans of one process away in a thread of its own, which does not survive a fork.

    A queue lies between, of OTEL_BSP_MAX_QUEUE_SIZE spans: where the collector is too slow, or gone, spans
    are dropped and nothing waits.
    """

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        given = OTELResourceDetector().detect()
        ours = Resource.create({"service.name": NAME, "service.version": VERSION, "process.pid": os.getpid()})
        self._provider = TracerProvider(resource=ours.merge(given), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer: Tracer = self._provider.get_tracer("service", VERSION, CONVENTIONS)

    async def stop(self) -> None:
        """Send what is left, for a short time at most."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop may be gone by now
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=shut_down, daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await sent.wait()
