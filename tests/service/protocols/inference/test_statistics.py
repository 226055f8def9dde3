"""Counts of a model as Triton's clients read them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.observability.metrics import Sums
from service.protocols.inference import operations, statistics
from support.in_process import InProcess
from support.tiny_checkpoints import write_tiny


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[InProcess]:
    """A model of a name that no other test counts under."""
    write_tiny(tmp_path, "counted", operations=("decode",), domains=("a", "b"))
    with InProcess(tmp_path) as started:
        yield started


def of(client: InProcess, operation: str) -> dict[str, Any]:
    return statistics.of(operations.find(client.models, f"counted.{operation}", None), Sums())


def infer(client: InProcess, rows: int, numbers: int = 4) -> int:
    tensor = {"name": "latents", "datatype": "FP32", "shape": [rows, numbers], "data": [0.5] * rows * numbers}
    return client.post("/v2/models/counted.decode/infer", json={"inputs": [tensor]}).status_code


def test_requests_rows_and_runs_are_counted(counted: InProcess):
    before = of(counted, "decode")
    assert [infer(counted, 1), infer(counted, 3), infer(counted, 1, 5)] == [200, 200, 422]
    found = of(counted, "decode")
    counts = found["inference_stats"]
    assert (found["name"], found["version"]) == ("counted.decode", "1")
    assert (counts["success"]["count"], counts["fail"]["count"]) == (2, 1)
    assert found["inference_count"] - before["inference_count"] == 4
    assert found["execution_count"] - before["execution_count"] == counts["compute_infer"]["count"] == 2
    assert counts["success"]["ns"] > counts["compute_infer"]["ns"] > 0
    assert found["last_inference"] > 1_600_000_000_000


def test_runs_count_for_the_model_whose_graphs_they_are_whatever_route_they_came_by(counted: InProcess):
    def rows() -> float:
        return float(of(counted, "translate")["inference_count"])

    before, decoded = rows(), of(counted, "decode")["inference_count"]
    for to in ("a", "b"):
        image = [[0.0] * 8] * 8
        tensor = {"name": "images", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [[image]]}
        body = {"inputs": [tensor], "parameters": {"to": to}}
        assert counted.post("/v2/models/counted.translate/infer", json=body).status_code == 200
    assert rows() - before == 2
    assert of(counted, "decode")["inference_count"] == decoded
