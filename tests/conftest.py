"""Fixtures that several test files share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import robustness
import service  # noqa: F401 - before any test imports ONNX Runtime, whose telemetry it turns off
from process import ServiceProcess

StartService = Callable[..., ServiceProcess]
Measured = Callable[[int, str], None]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Start services on `tmp_path / "checkpoints"`: start_service(workers=2, max_count=4)."""
    with ExitStack() as running:

        def start(**settings: Any) -> ServiceProcess:
            log = tmp_path / f"service-{len(list(tmp_path.glob('service-*.log')))}.log"
            return running.enter_context(ServiceProcess(tmp_path / "checkpoints", log, **settings))

        yield start


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Note a figure for a row of docs/robustness.md: measured(4, "0 of 10,000 mixed up")."""
    full = request.node.get_closest_marker("chaos") is not None

    def note(row: int, figure: str) -> None:
        print(f"row {row}: {figure}")
        robustness.keep(row, request.node.nodeid, figure, full=full)

    return note
