"""The workers' metrics in memory that all of them share, counted by forked processes."""

import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

BEGIN = """
import logging, os, sys
from service.observability import shared_metrics
shared_metrics.share(2)
from service.observability import metrics

def fork(worker, work):
    if os.fork() == 0:
        shared_metrics.be_worker(worker)
        work()
        os._exit(0)
    assert os.wait()[1] == 0

def work():
    metrics.count_request("/encode", "POST", 200, 0.01)
    metrics.MODELS.labels("serving").set(4)
    metrics.GraphMetrics("m", "encode").queue_rows.inc(2)

"""
END = """
print(metrics.metrics_response()[0].decode())
"""


def shown(script: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Run a script and return the samples of what it shows; what it logs must be what it expects."""
    ended = subprocess.run(
        [sys.executable, "-c", BEGIN + script + END], check=True, capture_output=True, text=True
    )
    families = text_string_to_metric_families(ended.stdout)
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    return found | {("logged", frozenset()): float(ended.stderr.count("\n"))}


def value(samples: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return sum(number for (of, its), number in samples.items() if of == name and labels.items() <= set(its))


def test_processes_add_up():
    samples = shown("fork(0, work); fork(1, work)")
    assert value(samples, "latent_requests_total", route="/encode") == 2
    assert value(samples, "latent_request_seconds_count", route="/encode") == 2
    assert value(samples, "latent_models", state="serving") == 4
    assert value(samples, "latent_queue_rows", graph="encode") == 4


@pytest.mark.parametrize("deaths", [1, 300])
def test_who_takes_a_place_goes_on_counting_and_what_waited_is_forgotten(deaths: int):
    samples = shown(f"fork(1, work)\nfor _ in range({deaths}):\n    shared_metrics.forget(1); fork(1, work)")
    assert value(samples, "latent_requests_total", route="/encode") == deaths + 1
    assert value(samples, "latent_queue_rows", graph="encode") == 2


def test_what_finds_no_room_is_counted_nowhere_and_logged_once():
    script = """
def many():
    for number in range(60_000):
        metrics.REQUESTS.labels(f"/{number}", "GET", "200").inc()
fork(0, many)
"""
    samples = shown(script)
    routes = [its for name, its in samples if name == "latent_requests_total"]
    assert 30_000 < len(routes) < 60_000
    assert {samples["latent_requests_total", its] for its in routes} == {1}
    assert value(samples, "logged") == 1
