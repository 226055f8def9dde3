"""A running service that all contract tests share."""

from collections.abc import Iterator

import pytest

from fashion import write_fashion
from process import ServiceProcess


@pytest.fixture(scope="session")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service with tiny models in the shape of the shipped ones."""
    root = tmp_path_factory.mktemp("fashion")
    write_fashion(root / "checkpoints")
    with ServiceProcess(root / "checkpoints", root / "service.log") as process:
        yield process
