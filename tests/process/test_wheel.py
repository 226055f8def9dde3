"""The sdist and the wheel, built and installed where no clone is: both commands, and all that they serve."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urljoin

import pytest

from service.version import VERSION
from support.service_process import ROOT, ServiceProcess

pytestmark = pytest.mark.slow

NAME = f"latent_service-{VERSION}"
WHEEL = f"{NAME}-py3-none-any.whl"
ELSEWHERE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
CARRIED = {"service", "training", f"{NAME}.dist-info"}
"""What a wheel puts into site-packages."""


def run(*command: object, folder: Path) -> str:
    words = list(map(str, command))
    ended = subprocess.run(words, cwd=folder, env=ELSEWHERE, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def tracked() -> list[str]:
    """Return the names of the clone's files, as git knows them."""
    return run("git", "ls-files", folder=ROOT).splitlines()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both: the sdist of a copy of the clone, the wheel of the sdist."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, folder=source)
    return folder


def install(wheel: Path, folder: Path) -> Path:
    """Make an environment that has the wheel and nothing else; return the folder of its commands."""
    venv.create(folder)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet")
    run(*pip, "--no-index", "--no-deps", wheel, folder=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands, in an environment that borrows what they need from that of these tests."""
    commands = install(built / WHEEL, tmp_path_factory.mktemp("environment"))
    (site,) = commands.parent.glob("lib/python3*/site-packages")
    (site / "borrowed.pth").write_text(str(distribution("onnxruntime").locate_file("")))
    return commands


@pytest.fixture(scope="module")
def service(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("elsewhere")
    program = (str(installed / "latent-service"),)
    with ServiceProcess(ROOT / "checkpoints", folder / "service.log", program=program) as running:
        yield running


def test_the_wheel_holds_both_packages_with_their_files_and_the_licence(built: Path):
    names = set(zipfile.ZipFile(built / WHEEL).namelist())
    assert {name.partition("/")[0] for name in names} == CARRIED
    assert f"{NAME}.dist-info/licenses/LICENSE" in names
    packaged = {name for name in tracked() if name.startswith(("service/", "training/"))}
    assert {name for name in names if not name.startswith(NAME)} == packaged


def test_the_sdist_holds_what_the_wheel_is_made_of(built: Path):
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    packaged = {name for name in tracked() if name.startswith(("service/", "training/"))}
    assert packaged | {"LICENSE", "README.md", "pyproject.toml"} <= names
    assert [name for name in names if name.startswith(("tests", "checkpoints", "docs"))] == []


def test_training_without_its_packages_is_one_line_that_says_how_to_get_them(built: Path, tmp_path: Path):
    command = [install(built / WHEEL, tmp_path) / "latent-train", "--help"]
    ended = subprocess.run(command, cwd=tmp_path, env=ELSEWHERE, capture_output=True, text=True)
    assert ended.returncode == 1
    assert re.fullmatch(r"latent-train: No module named '\w+'; .*'latent-service\[train\]'.*\n", ended.stderr)


@pytest.mark.parametrize("command", ["latent-service", "latent-train"])
def test_help_shows_the_name_that_was_called(installed: Path, tmp_path: Path, command: str):
    assert run(installed / command, "--help", folder=tmp_path).startswith(f"usage: {command} ")


def test_the_command_serves_checkpoints(service: ServiceProcess):
    with service.client() as client:
        boots = client.post("/generate", json={"label": "Ankle boot", "count": 2, "seed": 7})
        assert boots.status_code == 200
        assert boots.json()["labels"] == ["Ankle boot", "Ankle boot"]
        assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize("page", ["/playground", "/docs"])
def test_a_page_is_served_with_all_that_it_needs(service: ServiceProcess, page: str):
    with service.client() as client:
        html = client.get(page).text
        parts = [urljoin(page, part) for part in re.findall(r"(?:src|href)=\"([^\"#:]+)\"", html)]
        assert len(parts) >= 3
        assert {part: client.get(part).status_code for part in parts} == dict.fromkeys(parts, 200)


def test_training_finds_the_weights_that_judge(installed: Path, tmp_path: Path):
    """Every run on Fashion-MNIST is judged with them."""
    found = run(
        installed / "python",
        "-c",
        "from training.evaluation import features; print(features.SHIPPED)",
        folder=tmp_path,
    )
    assert Path(found.strip()).is_relative_to(installed.parent)
    assert Path(found.strip()).is_file()
