"""Metrics: what the parts report, as Prometheus reads it."""

import time

from prometheus_client.parser import text_string_to_metric_families

from service.observability.metrics import (
    GraphMetrics,
    Phase,
    Sums,
    count_inference,
    count_request,
    metrics_response,
    note_drift,
)
from support.recorded_spans import RecordedSpans


def value(text: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return 0


def scrape() -> str:
    body, content_type = metrics_response()
    assert content_type.startswith("text/plain")
    return body.decode()


def test_requests_are_counted_by_route_method_and_status():
    labels = {"route": "/test-telemetry", "method": "POST", "status": "429"}
    before = value(scrape(), "latent_requests_total", **labels)
    for _ in range(3):
        count_request("/test-telemetry", "POST", 429, 0.01)
    assert value(scrape(), "latent_requests_total", **labels) == before + 3
    assert value(scrape(), "latent_request_seconds_count", route="/test-telemetry") == before + 3


def test_graph_metrics_carry_model_and_graph():
    metrics = GraphMetrics("tiny-telemetry", "decode")
    metrics.batch_rows.observe(7)
    metrics.queue_rows.inc(5)
    metrics.refused("queue-full")
    labels = {"model": "tiny-telemetry", "graph": "decode"}
    assert value(scrape(), "latent_batch_rows_sum", **labels) == 7
    assert value(scrape(), "latent_queue_rows", **labels) == 5
    assert value(scrape(), "latent_refusals_total", code="queue-full", **labels) == 1


def test_a_phase_is_counted_and_is_a_span_of_a_traced_request():
    phase, spans = Phase("test-phase"), RecordedSpans()
    trace = spans.begin()
    for one in (None, trace):
        phase.end(time.perf_counter() - 2, one, {"latent.rows": 3})
    assert value(scrape(), "latent_phase_seconds_count", phase="test-phase") == 2
    assert 4 <= value(scrape(), "latent_phase_seconds_sum", phase="test-phase") < 5
    assert list(spans.ended()) == ["test-phase"]
    span = spans.ended()["test-phase"]
    assert dict(span.attributes or {}) == {"latent.rows": 3}
    assert 2e9 <= (span.end_time or 0) - (span.start_time or 0) < 2.5e9


def test_drift_is_shown_as_it_was_measured_last():
    for mmd, p_value, images in ((0.5, 0.001, 20), (-0.25, 0.75, 30)):
        note_drift("tiny-telemetry", mmd, p_value, images)
    found = [
        value(scrape(), f"latent_drift_{name}", model="tiny-telemetry") for name in ("mmd", "p", "images")
    ]
    assert found == [-0.25, 0.75, 30]


def test_answers_over_v2_are_counted_by_their_outcome_and_time():
    before_ms = time.time() * 1e3
    for succeeded in (True, True, False):
        count_inference("tiny-telemetry", "decode", 0.5, succeeded=succeeded)
    sums, labels = Sums(), {"model": "tiny-telemetry", "operation": "decode"}
    assert sums.of("latent_inference_seconds_sum", outcome="success", **labels) == 1
    assert sums.of("latent_inference_seconds_count", outcome="fail", **labels) == 1
    assert before_ms <= sums.of("latent_inference_last_ms", **labels) <= time.time() * 1e3
    assert sums.of("latent_inference_seconds_count", outcome="fail", model="nobody", operation="decode") == 0
