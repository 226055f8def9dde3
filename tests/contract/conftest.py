"""Running services and a browser that the contract tests share."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from support.browser import launched
from support.service_process import ROOT, ServiceProcess
from support.tiny_shipped_checkpoints import write_fashion


@pytest.fixture(scope="session")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service with tiny models in the shape of the shipped ones."""
    root = tmp_path_factory.mktemp("fashion")
    write_fashion(root / "checkpoints")
    with ServiceProcess(root / "checkpoints", root / "service.log", drift_rows=50) as process:
        yield process


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service with the checkpoints of the repository."""
    log = tmp_path_factory.mktemp("shipped") / "service.log"
    with ServiceProcess(ROOT / "checkpoints", log) as process:
        yield process


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A Chromium."""
    with launched(chromium) as started:
        yield started
