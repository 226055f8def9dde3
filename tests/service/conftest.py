"""A folder with one small model of each kind, for applications in this process."""

from pathlib import Path

import pytest

from support.model_kinds import write_model_of_each_kind


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small model of each kind."""
    return write_model_of_each_kind(tmp_path_factory.mktemp("checkpoints"))
