"""Fixtures that several test files share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from process import ServiceProcess

StartService = Callable[..., ServiceProcess]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Start services on `tmp_path / "checkpoints"`: start_service(workers=2, max_count=4)."""
    with ExitStack() as running:

        def start(**settings: Any) -> ServiceProcess:
            log = tmp_path / f"service-{len(list(tmp_path.glob('service-*.log')))}.log"
            return running.enter_context(ServiceProcess(tmp_path / "checkpoints", log, **settings))

        yield start
