"""Fixtures that several test files share, and what a run reports of tests that lack something."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import service  # noqa: F401 - before any test imports ONNX Runtime, whose telemetry it turns off
from support import requirements
from support.service_process import ServiceProcess, StartService
from tools import robustness_table
from tools.robustness_table import Measured


def pytest_configure() -> None:
    unknown = requirements.HIDDEN - requirements.NEEDS.keys() - {"all"}
    if unknown:
        raise pytest.UsageError(
            f"HIDE_FROM_TESTS: {', '.join(unknown)} is none of {', '.join(requirements.NEEDS)}, all"
        )


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs something of the machine: whatever requests it, itself or through other fixtures."""
    for item in items:
        if requirements.NEEDS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker("needs")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was skipped for lack of what, and what installs it."""
    reasons = (report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    counts = Counter(reason.removeprefix("Skipped: ") for reason in reasons)
    lacks = {reason: count for reason, count in counts.items() if reason.startswith(requirements.LACKS)}
    if lacks:
        terminalreporter.section("skipped tests")
    for reason, count in sorted(lacks.items()):
        tests = f"{count} test{'s' if count > 1 else ''}"
        terminalreporter.write_line(f"{tests} for lack of {reason.removeprefix(requirements.LACKS)}")


@pytest.fixture(autouse=True, scope="session")
def no_fashion_mnist_unasked() -> Iterator[None]:
    """Hide the whole data set from tests that do not request it: they would fail on a machine without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASHION_MNIST", "not requested by this test")
        yield


@pytest.fixture
def whole_fashion_mnist(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the whole data set, where training then finds it by itself."""
    folder: Path = requirements.found("whole_fashion_mnist")
    monkeypatch.setenv("FASHION_MNIST", str(folder))
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    return str(requirements.found("chromium"))


@pytest.fixture(scope="session")
def prometheus() -> str:
    """The path of a Prometheus."""
    return str(requirements.found("prometheus"))


@pytest.fixture(scope="session")
def container_engine() -> requirements.Engine:
    """A container engine."""
    found: requirements.Engine = requirements.found("container_engine")
    return found


@pytest.fixture(scope="session")
def curl() -> str:
    """The path of curl."""
    return str(requirements.found("curl"))


@pytest.fixture(scope="session")
def java() -> str:
    """The path of a Java that runs source files."""
    return str(requirements.found("java"))


@pytest.fixture(scope="session")
def nginx() -> str:
    """The path of nginx."""
    return str(requirements.found("nginx"))


@pytest.fixture(scope="session")
def own_mounts() -> tuple[str, ...]:
    """The words before a command that gets mounts of its own."""
    found: tuple[str, ...] = requirements.found("own_mounts")
    return found


@pytest.fixture(scope="session")
def git() -> None:
    """Git."""
    requirements.found("git")


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
        robustness_table.keep(row, request.node.nodeid, figure, full=full)

    return note
