"""Running services and a browser that the tests share."""

from collections.abc import Iterator

import pytest
from httpx import Client
from playwright.sync_api import Browser

from support.browser import launched
from support.model_kinds import write_model_of_each_kind
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


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a service with one small model of each kind."""
    root = tmp_path_factory.mktemp("kinds")
    write_model_of_each_kind(root / "checkpoints")
    service = ServiceProcess(root / "checkpoints", root / "service.log", max_images=4, max_count=16)
    with service as process, process.client() as opened:
        yield opened
