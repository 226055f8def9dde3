"""Several processes train what one would have trained, and end together."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from process import ROOT, free_port, is_alive, wait_until
from service import checkpoint
from subset import FASHION
from together import HALFWAY, RESUMED, RUNS, found, prepared
from training.commands import main
from training.run import Run

CLEAN = {
    name: value
    for name, value in os.environ.items()
    if name not in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
}
SMALL = ["--path", str(FASHION), "--batch-size", "48", "--threads", "1", "--device", "cpu"]
ENDLESS = ["fit", "linear", *SMALL, "--name", "r", "--epochs", "1000000"]
FIT = [sys.executable, "-m", "training"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "training"]

Results = dict[str, dict[str, Any]]


def environment(**more: str) -> dict[str, str]:
    return {**CLEAN, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1", **more}


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def one(folder: Path) -> Results:
    """What one process makes of every run; those to be resumed are left halfway in two places."""
    results = {}
    for name in RUNS:
        trainer = prepared(name, folder / "one" / name)
        results[name] = found(trainer)
    for name in RESUMED:
        for rank in ("0", "1"):
            halfway = folder / "halfway" / name / rank
            halfway.mkdir(parents=True)
            for file in ("run.json", "state.pt"):
                (halfway / file).write_bytes((folder / "one" / name / file).read_bytes())
    return results


@pytest.fixture(scope="module")
def nudged(folder: Path) -> Results:
    """What one process makes of the same runs from first weights that differ by their last bit."""
    results = {}
    for name in RUNS:
        trainer = prepared(name, folder / "nudged" / name)
        random = torch.Generator().manual_seed(0)
        for network in trainer.recipe.networks.values():
            for parameter in network.parameters():
                parameter.data.mul_(1 + 2**-24 * torch.randn(parameter.shape, generator=random))
        results[name] = found(trainer)
    return results


@pytest.fixture(scope="module")
def two(folder: Path, one: Results) -> list[Results]:
    """What each of two processes has in the end."""
    done = run(sys.executable, str(ROOT / "tests" / "together.py"), str(folder), "2", folder=folder)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def distance(ours: dict[str, Any], theirs: dict[str, Any], network: str) -> float:
    """Return how far apart two runs' weights of a network are, as a part of the way that training took them."""
    ends, others, start = (
        torch.cat([value.double().flatten() for value in weights.values()])
        for weights in (ours["after"][network], theirs["after"][network], ours["before"][network])
    )
    return float((ends - others).norm() / (ends - start).norm().clamp_min(1e-30))


def check_equal(ours: dict[str, Any], theirs: dict[str, Any], nudged: dict[str, Any], tolerance: float):
    """Check that two runs end in one place, as near as a run whose first weights were rounded otherwise."""
    assert theirs["losses"] == pytest.approx(ours["losses"], rel=tolerance)
    for network in ours["after"]:
        rounding = distance(ours, nudged, network)
        assert distance(ours, theirs, network) <= max(3 * rounding, tolerance), network
    for side, images in ours["memory"].items():
        assert (images - theirs["memory"][side]).abs().mean() < 1e-3


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_what_one_does_within_rounding(
    name: str, one: Results, nudged: Results, two: list[Results]
):
    check_equal(one[name], two[0][name], nudged[name], tolerance=1e-2 if name == "bfloat16" else 1e-4)


@pytest.mark.parametrize("name", RUNS)
def test_both_processes_hold_the_same_bit_for_bit(name: str, two: list[Results]):
    for network, values in two[0][name]["after"].items():
        for key, value in values.items():
            assert torch.equal(value, two[1][name]["after"][network][key]), f"{network} {key}"
    for side, images in two[0][name]["memory"].items():
        assert torch.equal(images, two[1][name]["memory"][side])


@pytest.mark.parametrize("name", RESUMED)
def test_two_processes_go_on_where_one_stopped_and_the_other_way_round(
    name: str, folder: Path, one: Results, nudged: Results, two: list[Results]
):
    alone = prepared(name, folder / name / "0")
    alone.resume()
    assert alone.update == HALFWAY
    for resumed in (found(alone), two[0][f"{name} resumed"]):
        check_equal(one[name], resumed, nudged[name], tolerance=1e-4)


def form(value: Any) -> Any:
    """Return the keys of a manifest, all the way down, without what differs from run to run."""
    if isinstance(value, dict):
        return {key: form(part) for key, part in value.items()}
    return type(value)


def test_the_command_on_two_devices_leaves_a_checkpoint_of_the_same_form(workplace: Path):
    command = ["fit", "autoencoder", *SMALL, "--updates", "12", "--width", "8"]
    assert main([*command, "--name", "one"]) == 0
    done = run(*FIT, *command, "--name", "two", "--devices", "2", folder=workplace)
    assert done.returncode == 0, done.stderr
    assert "on 2 cpu" in done.stderr
    assert done.stderr.count("so far") == len(Run(workplace / "runs/two").progress().epochs)
    made = [workplace / "checkpoints" / name / "1" for name in ("one", "two")]
    names = [{str(path.relative_to(folder)) for path in folder.rglob("*")} for folder in made]
    assert names[0] == names[1]
    one, two = (json.loads((folder / "checkpoint.json").read_bytes()) for folder in made)
    assert form(one) == form(two)
    assert two["metrics"]["mse"] == pytest.approx(one["metrics"]["mse"], rel=1e-3)
    assert checkpoint.read(made[1]).manifest.training.steps == 12


def test_torchrun_gives_the_number_of_devices(workplace: Path):
    options = ["fit", "linear", *SMALL, "--updates", "12", "--name", "r", "--no-package"]
    done = run(*TORCHRUN, *options, folder=workplace)
    assert done.returncode == 0, done.stderr
    assert "on 2 cpu" in done.stderr
    assert Run(workplace / "runs/r").progress().update == 12
    assert main([*options, "--resume"]) == 0  # by one process, with nothing left to train


def test_nodes_find_each_other_by_the_environment(workplace: Path):
    port = str(free_port())
    options = ["fit", "linear", *SMALL, "--updates", "12", "--name", "r", "--no-package", "--nodes", "2"]
    nodes = [
        subprocess.Popen(
            [*FIT, *options],
            cwd=workplace,
            env=environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, NODE_RANK=str(rank)),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [node.communicate(timeout=300)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert "on 2 x 1 cpu" in said[0]
    assert said[1] == ""


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--devices 5", "--batch-size 48: 5 processes (devices x nodes) cannot share it equally"),
        ("--devices 0", "argument --devices: 0 is not a whole number from 1 to 1024"),
        ("--nodes 2", "--nodes 2: MASTER_ADDR, MASTER_PORT, NODE_RANK must be set in the environment"),
    ],
)
def test_what_cannot_be_done_together_is_one_line(options: str, reason: str, workplace: Path):
    done = run(*FIT, "fit", "linear", *SMALL, *shlex.split(options), folder=workplace)
    assert done.returncode in (1, 2)
    assert done.stderr.strip().splitlines()[-1].endswith(reason)
    assert not (workplace / "runs/fashion-linear").exists()


@contextmanager
def running(folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Train without end on two devices; yield the first process, and the other's id, once both have saved."""
    progress = folder / "runs/r/progress.json"
    progress.unlink(missing_ok=True)
    first = subprocess.Popen(
        [*FIT, *ENDLESS, "--devices", "2", *more],
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    other = 0
    try:
        wait_until(progress.is_file, "the first save", limit_s=120)
        (other,) = map(int, Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split())
        yield first, other
    finally:
        for process in (first.pid, other):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL) if process else None
        first.communicate()


def saved(folder: Path) -> int:
    """Return after how many updates the state on disk was saved; it has to be whole."""
    state = Run(folder / "runs/r").load(torch.device("cpu"))
    assert state is not None
    assert all(value.isfinite().all() for value in state["networks"]["encoder"].values())
    return int(state["update"])


def test_a_signal_to_one_process_saves_and_ends_both_and_a_killed_one_ends_the_other(workplace: Path):
    with running(workplace) as (first, other):
        os.kill(other, signal.SIGTERM)
        _, said = first.communicate(timeout=120)
        assert first.returncode == 130
        wait_until(lambda: not is_alive(other), "the other's end")
    assert said.count("saved in runs/r; the same command with --resume goes on") == 1
    assert "Traceback" not in said
    before = saved(workplace)
    with running(workplace, "--resume") as (first, other):
        os.kill(other, signal.SIGKILL)
        first.communicate(timeout=120)
        assert first.returncode not in (0, 130)
    middle = saved(workplace)
    with running(workplace, "--resume") as (first, other):
        first.kill()
        wait_until(lambda: not is_alive(other), "the other's end", limit_s=60)
    assert before <= middle <= saved(workplace)
