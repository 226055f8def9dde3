"""A folder with one small model of each kind, and an application in this process that serves them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.in_process import InProcess
from support.model_kinds import write_model_of_each_kind


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small model of each kind."""
    return write_model_of_each_kind(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def client(checkpoints: Path) -> Iterator[InProcess]:
    """An application that serves them: client.post("/encode", json=...)."""
    with InProcess(checkpoints) as started:
        yield started
