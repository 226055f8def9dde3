"""What each feature of our service takes: requests and processor time with it and without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.serving import bodies, load
from benchmarks.serving.changed import FEATURES
from benchmarks.serving.collector import Collector
from benchmarks.serving.peers.configurations import ours
from benchmarks.serving.server import Server
from training.studies.findings import Findings, Table

CONNECTIONS = 64
REPEATS = 5
WHOLE = "as it is started"

SAMPLED = {"tracing, every request sampled": "1", "tracing, one in a hundred sampled": "0.01"}
"""What is off unless it is asked for, with the sampler's share."""


def findings(seconds: float) -> Findings:
    """Load the service as it is, without each feature and with what is off, in turns."""
    asked = bodies.write("latent", "encode")
    times: dict[str, list[float]] = {name: [] for name in (WHOLE, *FEATURES, *SAMPLED)}
    with Collector() as collector:
        for _ in range(REPEATS):
            for name, found in times.items():
                found.append(_microseconds(_environment(name, collector), asked, seconds))
    whole = median(times[WHOLE])
    without = {name: whole / median(times[name]) for name in FEATURES}
    with_more = {name: median(times[name]) / whole for name in SAMPLED}
    return Findings(
        title="What features cost",
        question="What do checks, limits, metrics and traces take?",
        parts=(_table("without", times, without), _table("with", times, with_more)),
    )


def _environment(name: str, collector: Collector) -> tuple[tuple[str, str], ...]:
    if name not in SAMPLED:
        return (("WITHOUT", name),)
    return (
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", SAMPLED[name]),
    )


def _microseconds(environment: tuple[tuple[str, str], ...], asked: Path, seconds: float) -> float:
    """Return the processor time that a request takes."""
    started = ours(1, 8205, module="benchmarks.serving.changed")
    with Server(replace(started, environment=environment)) as server:
        load.closed_loop(server.url, "/encode", asked, CONNECTIONS, 1)
        before = server.cpu_s()
        speed = load.closed_loop(server.url, "/encode", asked, CONNECTIONS, seconds).per_second
        return (server.cpu_s() - before) / seconds / speed * 1e6


def _table(kind: str, times: dict[str, list[float]], ratios: dict[str, float]) -> Table:
    """Return the times of the service as it is, and `kind` features, with what each takes."""
    costs = {WHOLE: "", **{name: f"{ratio - 1:+.1%}" for name, ratio in ratios.items()}}
    return Table(
        title=f"/encode over {CONNECTIONS} connections, one worker, {kind} a feature",
        note="Processor time of the worker per request, the median of "
        f"{REPEATS} runs in turns, and how much more the service with the feature takes.",
        columns=(kind, "microseconds per request", "cost of it"),
        rows=tuple((name, round(median(times[name]), 1), cost) for name, cost in costs.items()),
    )
