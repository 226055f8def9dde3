"""Sending traces: what the environment asks for, and what it cannot have."""

import os
from collections.abc import Iterator

import pytest

from service.observability import trace_exporter
from service.observability.trace_exporter import CannotTrace
from service.version import VERSION
from support.otlp_collector import Collector

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
HERE = "http://127.0.0.1:4318"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {ENDPOINT: ""},
        {ENDPOINT: HERE, "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: HERE, "OTEL_SDK_DISABLED": " True"},
        {ENDPOINT: "nonsense", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_unless_a_collector_is_named_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    trace_exporter.check()
    assert trace_exporter.start() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ENDPOINT, "https://collector"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/v1/traces"),
        ("OTEL_TRACES_EXPORTER", ""),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "512"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2048"),
        ("OTEL_BSP_SCHEDULE_DELAY", " 1 "),
    ],
)
def test_what_can_be_followed_passes(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(ENDPOINT, HERE)
    monkeypatch.setenv(name, value)
    trace_exporter.check()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        (ENDPOINT, "collector:4318", "http://"),
        (ENDPOINT, "http://", "http://"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces", "http://"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "511", "at most OTEL_BSP_MAX_QUEUE_SIZE, 511"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2049", "at most OTEL_BSP_MAX_QUEUE_SIZE, 2048"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-3", "from 1 on"),
    ],
)
def test_what_cannot_be_followed_is_one_line_that_says_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
):
    monkeypatch.setenv(ENDPOINT, HERE)
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotTrace, match=allowed) as refusal:
        trace_exporter.check()
    assert "OTEL_" in str(refusal.value)
    assert "\n" not in str(refusal.value)


async def test_spans_are_sent_at_the_end_and_say_where_they_come_from(
    monkeypatch: pytest.MonkeyPatch, collector: Collector
):
    monkeypatch.setenv(ENDPOINT, f"http://{collector.address}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    exporter = trace_exporter.start()
    assert exporter is not None
    exporter.tracer.start_span("request").end()
    assert collector.spans == []
    await exporter.stop()
    (span,) = collector.spans
    assert span.name == "request"
    assert span.resource["service.name"] == "latent-service"
    assert span.resource["service.version"] == VERSION
    assert span.resource["process.pid"] == os.getpid()


async def test_a_service_may_be_called_something_else(monkeypatch: pytest.MonkeyPatch, collector: Collector):
    monkeypatch.setenv(ENDPOINT, f"http://{collector.address}")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "images")
    exporter = trace_exporter.start()
    assert exporter is not None
    exporter.tracer.start_span("request").end()
    await exporter.stop()
    assert collector.spans[0].resource["service.name"] == "images"
