"""Who may import whom: service/ nothing of training/ or torch; of training/ only package.py service/."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import files as files_of
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICE = sorted((ROOT / "service").rglob("*.py"))
TRAINING = sorted((ROOT / "training").rglob("*.py"))

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


def imported(file: Path) -> Iterator[str]:
    """Yield the top-level packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield (node.module or "").partition(".")[0]


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


@pytest.mark.parametrize("file", SERVICE, ids=lambda file: str(file.relative_to(ROOT)))
def test_service_file_imports_nothing_of_training(file: Path):
    assert not {"training", "torch", "onnx", "tests"} & set(imported(file))


@pytest.mark.parametrize("file", TRAINING, ids=lambda file: str(file.relative_to(ROOT)))
def test_only_package_imports_service(file: Path):
    if file == ROOT / "training" / "packaging" / "package.py":
        assert "service" in set(imported(file))
    else:
        assert "service" not in set(imported(file))


def test_only_images_imports_pil():
    found = [str(file.relative_to(ROOT)) for file in SERVICE if "PIL" in set(imported(file))]
    client = [f"service/client/{name}.py" for name in ("pictures", "results")]
    assert found == [*client, "service/media/images.py"]


def test_the_client_and_the_server_know_nothing_of_each_other():
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
    servers = [file for file in SERVICE if "client" not in file.relative_to(ROOT).parts]
    assert [file for file in servers if "service.client" in file.read_text()] == []
