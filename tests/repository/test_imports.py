"""What is imported at run time, and that no files import each other in a circle; `make lint` has the rest."""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from graphlib import TopologicalSorter
from importlib.metadata import files as files_of
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CLEAN = {
    name: value
    for name, value in os.environ.items()
    if name not in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
}

NOT_ITS_OWN = {"latent-service", "pip", "setuptools", "sniffio"}
"""Imported where they happen to be installed: sniffio is by anyio."""

IMPORT_ALL = """
import importlib, sys
from pathlib import Path
for file in Path("service").rglob("*.py"):
    if "client" not in file.parts and file.name != "ray_serve.py":  # which are for other processes
        importlib.import_module(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
print(*sorted(sys.modules))
"""

IMPORT_CLIENT = """
import sys, service.client
print(*sorted(sys.modules))
"""


def import_all() -> set[str]:
    """Return the modules that are there once all of the service is imported."""
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(ended.stdout.split())


def owners(modules: set[str]) -> set[str]:
    """Return what was installed to bring these modules; several packages may share a top-level name."""
    installed = packages_distributions()
    found = set()
    for top in {name.partition(".")[0] for name in modules}:
        shared = installed.get(top, [])
        found |= set(shared) if len(set(shared)) == 1 else {one for one in shared if brings(one, modules)}
    return found


def brings(package: str, modules: set[str]) -> bool:
    """Tell whether one of the modules is a file of this package."""
    files = {str(file.with_suffix("")).removesuffix("/__init__") for file in files_of(package) or ()}
    return any(name.replace(".", "/") in files for name in modules)


@pytest.mark.parametrize("package", ["service.inference.engine", "training.packaging.onnx_export"])
def test_onnx_runtime_keeps_no_telemetry(package: str, tmp_path: Path):
    """It would open a database in the home folder and send it away."""
    subprocess.run(
        [sys.executable, "-c", f"import {package}"],
        cwd=ROOT,
        env={**CLEAN, "HOME": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.rglob("*onnxruntime*")) == []


def test_service_runs_without_torch_and_without_training():
    packages = {name.partition(".")[0] for name in import_all()}
    assert {"service", "onnxruntime", "fastapi", "PIL"} <= packages
    assert not packages & {"torch", "torchvision", "onnx", "sklearn", "training"}


def test_packages_that_the_service_imports_are_those_of_the_list():
    """Whatever is imported can do what the service can: a new one is a decision, to be made by a person."""
    found = owners(import_all()) - NOT_ITS_OWN
    listed = (ROOT / "tests" / "repository" / "packages.txt").read_text().splitlines()
    assert sorted(found, key=str.lower) == listed


def test_the_client_comes_without_the_server():
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_CLIENT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    modules = set(ended.stdout.split())
    assert {"service.client", "httpx", "numpy", "PIL"} <= modules
    assert not modules & {"fastapi", "starlette", "uvicorn", "pydantic", "onnxruntime", "orjson"}
    ours = {name for name in modules if name.startswith("service")}
    assert {name for name in ours if not name.startswith("service.client")} == {"service"}


def imports_of(file: Path, files: Mapping[str, Path]) -> set[str]:
    """Return which of our modules a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in files else str(node.module) for name in names}
    return found & files.keys()


def test_no_files_import_each_other_in_a_circle():
    """Nor does a package's `__init__.py` import what imports from it."""
    files = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for half in ("service", "training")
        for file in (ROOT / half).rglob("*.py")
    }
    assert len(files) > 200
    TopologicalSorter({name: imports_of(file, files) - {name} for name, file in files.items()}).prepare()
