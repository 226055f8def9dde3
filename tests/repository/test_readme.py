"""The README's commands do what it says; its figures and images are those of the shipped checkpoints."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service import checkpoint
from support.fashion_subset import FASHION
from support.service_process import ROOT, ServiceProcess, shipped
from training.data.datasets import fashion_mnist

README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
RUN_ELSEWHERE = {
    "make serve": "tests/process/test_clone.py",
    "make train": "Makefile",
    "make test": ".ci/run",
    "make lint": ".ci/run",
    "docker compose up": "tests/container/test_compose.py",
}
CURLS = [command for command in COMMANDS if command.startswith("curl ")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(ROOT / "checkpoints", tmp_path_factory.mktemp("log") / "service.log") as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the README's commands expect to find beside them."""
    for name in ("docs", "checkpoints"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str, here: Path) -> str:
    done = subprocess.run(["bash", "-euc", command], cwd=here, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_is_run_by_a_test():
    known = {*RUN_ELSEWHERE, *(command.strip() for command in CURLS)}
    training = [command for command in COMMANDS if "python -m training" in command]
    assert [command for command in COMMANDS if command.strip() not in known and command not in training] == []
    assert len(CURLS) == 7
    assert len(training) == 5


@pytest.mark.usefixtures("curl")
@pytest.mark.parametrize("command", CURLS)
def test_a_curl_command_is_answered(command: str, service: ServiceProcess, here: Path):
    answer = run(command.replace("curl ", "curl --fail ").replace("localhost:8000", service.url), here)
    for written in re.findall(r"> (\S+\.png)", command):
        shown = np.asarray(Image.open(ROOT / "docs" / written)).astype(int)
        fresh = np.asarray(Image.open(here / written)).astype(int)
        assert shown.shape == fresh.shape
        assert np.abs(shown - fresh).max() <= 1, f"docs/{written} is not what the command draws"
    assert answer or ">" in command


def train(words: str, here: Path, *options: str) -> str:
    """Run the README's command of `python -m training` that begins so, shortened by options."""
    (command,) = (command for command in COMMANDS if f"-m training {words}" in command)
    command = " ".join([command.strip().replace(".venv/bin/python", sys.executable), *options])
    return run(f"PYTHONPATH={ROOT} {command}", here)


@pytest.mark.slow
@pytest.mark.usefixtures("whole_fashion_mnist")
def test_the_figures_are_printed_again_by_the_command(here: Path):
    printed = dict(figures(json.loads(train("evaluate", here))))
    stored = dict(figures(checkpoint.read_manifest(shipped("fashion-ae-2d")).metrics))
    probes = {name for name in stored if name.endswith("linear_probe")}
    assert probes
    for name, value in stored.items():
        rounding = (
            {"abs": 0.002} if name in probes else {"rel": 1e-3}
        )  # probes: see training/metrics/probes.py
        assert printed[name] == pytest.approx(value, **rounding), name


@pytest.mark.slow
def test_a_folder_of_images_becomes_a_checkpoint(here: Path):
    images = here / "path" / "to" / "images"
    images.mkdir(parents=True)
    for index, pixels in enumerate(fashion_mnist(FASHION).train.pixels[:24, 0].numpy()):
        Image.fromarray(pixels).resize((80, 60)).save(images / f"{index}.jpg")
    train("fit", here, "--updates 2 --width 8 --checkpoints made")
    assert checkpoint.read(here / "made" / "images-vae" / "1").manifest.image.height == 64


@pytest.mark.slow
def test_settings_are_searched(here: Path):
    printed = train("tune", here, "--trials 2 --updates 2")
    assert printed.startswith("python -m training fit autoencoder --data digits")


@pytest.mark.slow
def test_a_study_is_run_and_the_report_holds_it(here: Path):
    assert "| " in train("study", here)
    train("report", here)
    report = (here / "runs" / "report" / "report.md").read_text()
    assert "regression" in report
    assert "python -m training study manifold" in report


def test_commands_run_elsewhere_are_run_there():
    for command, place in RUN_ELSEWHERE.items():
        words = command.removeprefix("docker ").removesuffix(" up").removeprefix("make ")
        assert re.search(rf"\b{words}\b", (ROOT / place).read_text()), f"{place} does not run {command}"


def test_every_image_and_link_is_there():
    links = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", README)
    local = [first or second for first, second in links if not (first or second).startswith("http")]
    assert len(local) >= 8
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_figures_in_the_table_are_the_manifests():
    rows = {
        match[1]: match[2]
        for match in re.finditer(
            r"^\| \[([a-z0-9-]+)\]\(checkpoints/.*?\) \|.*\| (.*) \|$", README, flags=re.MULTILINE
        )
    }
    assert set(rows) == {path.name for path in (ROOT / "checkpoints").iterdir()}
    for name, text in rows.items():
        manifest = checkpoint.read_manifest(shipped(name))
        known = set(dict(figures(manifest.metrics)).values())
        printed = re.findall(r"\b\d+\.\d+\b", text)
        assert printed, name
        for figure in printed:
            digits = len(figure.split(".")[1])
            assert figure in {f"{value:.{digits}f}" for value in known}, f"{name}: {figure}"


def figures(metrics: object, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(metrics, dict):
        for key, value in metrics.items():
            yield from figures(value, f"{name}.{key}")
    elif isinstance(metrics, float):
        yield name, metrics
