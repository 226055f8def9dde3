"""Telemetry: numbers for Prometheus, one line per log record."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.coordination.shared_folder import METRICS_FOLDER
from service.observability.logs import configure_logs
from service.observability.metrics import GraphMetrics, count_request, metrics_response


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


REPORT = """
from service.observability import metrics
metrics.count_request("/encode", "POST", 200, 0.01)
metrics.MODELS.labels("serving").set(4)
metrics.GraphMetrics("m", "encode").queue_rows.inc(2)
print(metrics.metrics_response()[0].decode())
"""


def test_processes_that_share_a_folder_add_up(tmp_path: Path):
    for _ in range(2):
        text = subprocess.run(
            [sys.executable, "-c", REPORT],
            env={METRICS_FOLDER: str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    assert value(text, "latent_requests_total", route="/encode") == 2
    assert value(text, "latent_request_seconds_count", route="/encode") == 2
    assert value(text, "latent_models", state="serving") == 4
    assert value(text, "latent_queue_rows", graph="encode") == 4


@pytest.fixture
def _restore_logs():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.usefixtures("_restore_logs")
def test_record_is_one_line_whatever_it_holds(capsys: pytest.CaptureFixture[str]):
    configure_logs("info", "line")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("service.test").exception("name\r\n2026-01-01 ERROR forged")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "ERROR" in lines[0]
    assert "service.test" in lines[0]
    assert "ValueError: first" in lines[0]


@pytest.mark.usefixtures("_restore_logs")
def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]):
    configure_logs("warning", "line")
    logging.getLogger("service.test").info("quiet")
    logging.getLogger("service.test").warning("loud")
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["loud"]


@pytest.mark.usefixtures("_restore_logs")
def test_records_are_json_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]):
    configure_logs("info", "json")
    logger = logging.getLogger("service.test")
    logger.info("asked %d", 1, extra={"request": {"request_id": "abc", "status": 200}})
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logger.exception("bro\nken")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["message"], first["level"], first["request_id"], first["status"]) == (
        "asked 1",
        "info",
        "abc",
        200,
    )
    assert (second["message"], second["logger"]) == ("bro\nken", "service.test")
    assert "ValueError: first\nsecond" in second["exception"]
