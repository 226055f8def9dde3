"""The tree of unit tests is that of the service: one file for each module, and none for no module."""

from pathlib import Path

import pytest

from support.service_process import ROOT

SERVICE, TESTS = ROOT / "service", ROOT / "tests" / "service"

DECLARATIONS = {
    "api/responses.py",
    "checkpoint/records.py",
    "media/image_errors.py",
    "version.py",
}
"""Modules that do nothing, so that nothing of them can be tested alone."""

TESTED_ELSEWHERE = {
    "observability/shared_metrics.py": "tests/process/test_shared_metrics.py",
    "ray_serve.py": "tests/clients/test_ray.py",
    "workers/launch.py": "tests/process/test_workers.py",
    "workers/supervisor.py": "tests/process/test_workers.py",
}
"""Modules that start processes, or need Ray: what they do shows only there."""

MOST_WITHOUT = 15

MODULES = {
    path.relative_to(SERVICE).as_posix() for path in SERVICE.rglob("*.py") if path.name != "__init__.py"
}
TESTED = {
    path.relative_to(TESTS).with_name(path.name.removeprefix("test_")).as_posix()
    for path in TESTS.rglob("test_*.py")
}
WITHOUT = DECLARATIONS | TESTED_ELSEWHERE.keys()


def test_each_module_has_a_unit_test():
    assert sorted(MODULES - TESTED - WITHOUT) == []


def test_each_unit_test_is_of_a_module():
    assert sorted(TESTED - MODULES) == []


def test_each_module_without_a_unit_test_exists_and_has_none():
    assert sorted(WITHOUT - MODULES) == []
    assert sorted(WITHOUT & TESTED) == []
    assert len(WITHOUT) <= MOST_WITHOUT


@pytest.mark.parametrize("module", sorted(DECLARATIONS))
def test_declarations_have_no_code_of_their_own(module: str):
    assert "    def " not in (SERVICE / module).read_text()


@pytest.mark.parametrize("test", sorted(set(TESTED_ELSEWHERE.values())))
def test_what_is_tested_elsewhere_is_tested_there(test: str):
    assert (ROOT / test).is_file()


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: Path(path).stem)
def test_no_unit_test_starts_a_process(path: Path):
    text = path.read_text()
    found = [word for word in ("subprocess", "start_service", "ServiceProcess(", "os.fork") if word in text]
    assert found == []
