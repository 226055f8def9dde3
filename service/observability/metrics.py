"""Metrics and phases: what the parts report here, `/metrics` and traces show.

With several workers each writes its numbers to memory that all share (`shared_metrics`), and whichever worker
is asked adds them up.
"""

from __future__ import annotations

import time
from functools import cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    disable_created_metrics,
    generate_latest,
)

from service.observability import shared_metrics, traces
from service.observability.traces import NO_ATTRIBUTES, Attributes, Trace

disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

REQUESTS = Counter("latent_requests", "Answered requests.", ["route", "method", "status"])
REQUEST_SECONDS = Histogram("latent_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS)
BATCH_ROWS = Histogram("latent_batch_rows", "Rows per run of a graph.", ["model", "graph"], buckets=_ROWS)
RUN_SECONDS = Histogram(
    "latent_run_seconds", "Time per run of a graph.", ["model", "graph"], buckets=_SECONDS
)
QUEUE_ROWS = Gauge(
    "latent_queue_rows", "Rows waiting for a graph.", ["model", "graph"], multiprocess_mode="livesum"
)
REFUSALS = Counter(
    "latent_refusals", "Work that a graph's queue refused or failed.", ["model", "graph", "code"]
)
MODELS = Gauge(
    "latent_models",
    "Checkpoints by state, as the worker with the fewest sees it.",
    ["state"],
    multiprocess_mode="livemin",
)

PHASE_SECONDS = Summary(
    "latent_phase_seconds",
    "Time a request spends in a phase: preprocess (reading images), queue (for a run), postprocess "
    "(writing the answer). What it computes is in latent_run_seconds.",
    ["phase"],
)
MEMORY_BYTES = Gauge(
    "latent_memory_bytes",
    "Resident memory of the workers; what they share counts for each.",
    multiprocess_mode="livesum",
)
MODEL_VERSION = Gauge(
    "latent_model_version",
    "Version of a checkpoint that serves, 0 if none does; the lowest of all workers'.",
    ["model"],
    multiprocess_mode="livemin",
)
LOST_LOG_LINES = Counter(
    "latent_lost_log_lines", "Lines of the workers' logs that could not be written, or were not read in time."
)
INFERENCE_SECONDS = Summary(
    "latent_inference_seconds", "Time to answer over /v2.", ["model", "operation", "outcome"]
)
INFERENCE_LAST_MS = Gauge(
    "latent_inference_last_ms",
    "When it was last asked over /v2, in milliseconds since 1970.",
    ["model", "operation"],
    multiprocess_mode="max",
)

_OF_DRIFT = {"labelnames": ["model"], "multiprocess_mode": "mostrecent"}
DRIFT_MMD = Gauge("latent_drift_mmd", "Squared MMD of live latents from training ones.", **_OF_DRIFT)  # type: ignore[arg-type]
DRIFT_P = Gauge("latent_drift_p", "How often chance alone would bring as much drift.", **_OF_DRIFT)  # type: ignore[arg-type]
DRIFT_IMAGES = Gauge("latent_drift_images", "Live latents that were compared.", **_OF_DRIFT)  # type: ignore[arg-type]


class Phase:
    """One phase of requests: its seconds are counted, and are a span of every request that is traced."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seconds = PHASE_SECONDS.labels(name)

    def end(self, started_s: float, trace: Trace | None, attributes: Attributes = NO_ATTRIBUTES) -> None:
        """End it now for one request, for which it began at a time of `time.perf_counter()`."""
        ended_s = time.perf_counter()
        self._seconds.observe(ended_s - started_s)
        if trace is not None:
            trace.add(self._name, started_s, ended_s, attributes)


# `compute`, the fourth phase, is a span too (batch.leave_spans), but is counted per run, as RUN_SECONDS: a
# count takes 4 us where workers share the metrics, which one per run hardly costs the requests of the run.
PREPROCESS, QUEUE, POSTPROCESS = map(Phase, ("preprocess", "queue", "postprocess"))


class GraphMetrics:
    """The metrics of one graph, looked up once, since a look-up costs more than a count."""

    def __init__(self, model: str, graph: str) -> None:
        self.batch_rows = BATCH_ROWS.labels(model, graph)
        self.run_seconds = RUN_SECONDS.labels(model, graph)
        self.queue_rows = QUEUE_ROWS.labels(model, graph)
        self.attributes: Attributes = {traces.MODEL: model, traces.GRAPH: graph}
        """Of the spans of its runs."""
        self._labels = model, graph

    def refused(self, code: str) -> None:
        """Count one request that was refused or failed for the reason `code`."""
        REFUSALS.labels(*self._labels, code).inc()


@cache
def _request_counter(route: str, method: str, status: int) -> Counter:
    return REQUESTS.labels(route, method, str(status))


@cache
def _request_clock(route: str) -> Histogram:
    return REQUEST_SECONDS.labels(route)


def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answer; `route` is the route's pattern, never a caller's path, and so is `method` known."""
    _request_counter(route, method, status).inc()
    _request_clock(route).observe(seconds)


def note_drift(model: str, mmd: float, p_value: float, images: int) -> None:
    """Show how far live latents are from those of the training images."""
    DRIFT_MMD.labels(model).set(mmd)
    DRIFT_P.labels(model).set(p_value)
    DRIFT_IMAGES.labels(model).set(images)


def count_inference(model: str, operation: str, seconds: float, *, succeeded: bool) -> None:
    """Count one answer over /v2."""
    INFERENCE_SECONDS.labels(model, operation, "success" if succeeded else "fail").observe(seconds)
    INFERENCE_LAST_MS.labels(model, operation).set(time.time() * 1e3)


def metrics_response() -> tuple[bytes, str]:
    """Return the metrics of all workers in Prometheus's text format, and its content type."""
    return generate_latest(_of_all_workers()), CONTENT_TYPE_LATEST


class Sums:
    """What all workers have counted up to now."""

    def __init__(self) -> None:
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for metric in _of_all_workers().collect()
            for sample in metric.samples
        }

    def of(self, sample: str, **labels: str) -> float:
        """Return one sample, such as `latent_batch_rows_count`; what was never counted is 0."""
        return self._values.get((sample, frozenset(labels.items())), 0.0)


def _of_all_workers() -> CollectorRegistry:
    if not shared_metrics.are_shared():
        return REGISTRY
    registry = CollectorRegistry()
    shared_metrics.AllWorkers(registry)
    return registry
