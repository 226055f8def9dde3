"""Several processes train what one would have trained, and end together."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from service import checkpoint
from support.fashion_subset import FASHION
from support.service_process import ROOT, free_port, is_alive, wait_until
from support.training.all_recipes import HALFWAY, RESUMED, RUNS, found, prepared
from training.cli.commands import main
from training.evaluation import judge
from training.runtime.run_folder import Run

pytestmark = pytest.mark.slow

SMALL = ["--path", str(FASHION), "--batch-size", "48", "--threads", "1", "--device", "cpu"]
ENDLESS = [*SMALL, "--name", "r", "--epochs", "1000000", "--width", "4"]
GUIDE = (ROOT / "docs" / "devices.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)

Results = dict[str, dict[str, Any]]


ENVIRONMENT = os.environ | {
    "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
    "OMP_NUM_THREADS": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",  # it warns where no name server knows 127.0.0.1
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
ONE_MACHINE = "--standalone --nproc-per-node 2 -m training fit autoencoder\n"
TWO_MACHINES = "--nnodes 2"


def documented(words: str, *options: str) -> list[str]:
    """Return the guide's command that has these words, on this machine and with options of a test."""
    (command,) = (command for command in COMMANDS if words in command)
    torchrun, *parts = command.split()
    assert torchrun == ".venv/bin/torchrun"
    return [*TORCHRUN, *parts, *options]


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
                parameter.data.mul_(1 + 2**-23 * torch.randn(parameter.shape, generator=random))
        results[name] = found(trainer)
    return results


@pytest.fixture(scope="module")
def two(folder: Path, one: Results) -> list[Results]:
    """What each of two processes has in the end."""
    command = [
        *TORCHRUN,
        "--standalone",
        "--nproc-per-node",
        "2",
        ROOT / "tests" / "support" / "training" / "all_recipes.py",
        folder,
    ]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def distance(ours: dict[str, Any], theirs: dict[str, Any], network: str) -> float:
    """Return how far apart two runs' weights of a network are, in lengths of the way of training."""
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
    """Return the names in a manifest, all the way down, and the kinds of its values."""
    return {key: form(part) for key, part in value.items()} if isinstance(value, dict) else type(value)


def test_two_devices_leave_a_checkpoint_of_the_same_form(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    (workplace / "runs" / "judges").unlink()  # nobody else may have the judge of one pass
    monkeypatch.setattr(judge, "MAX_PASSES", 1)
    options = [*SMALL, "--updates", "12", "--width", "8"]
    assert main(["fit", "autoencoder", *options, "--name", "one"]) == 0
    command = documented(
        "--standalone --nproc-per-node 2 -m training fit autoencoder\n", *options, "--name", "two"
    )
    done = subprocess.run(command, cwd=workplace, env=ENVIRONMENT, capture_output=True, text=True)
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


@contextmanager
def running(*commands: list[str], folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Run commands that train together without end, from their first save on."""
    processes = [
        subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    try:
        wait_until((folder / "runs/r/progress.json").is_file, "the first save", limit_s=200)
        yield processes
    finally:
        for process in processes:
            for child in children(process):
                os.kill(child, signal.SIGKILL)
            process.kill()
            process.communicate()


def children(process: subprocess.Popen[str]) -> list[int]:
    """Return the ids of the processes that one has started, while it runs."""
    try:
        return [*map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())]
    except OSError:
        return []


def check_saved(folder: Path):
    """Check that the state on disk is whole, and that one process can go on with it."""
    state = Run(folder / "runs/r").load(torch.device("cpu"))
    assert state is not None
    assert state["update"] > 0
    assert all(value.isfinite().all() for value in state["networks"]["encoder"].values())


def test_a_signal_to_one_machine_ends_both_after_the_same_update(workplace: Path):
    address = f"127.0.0.1:{free_port()}"
    command = documented(TWO_MACHINES, *ENDLESS)
    command[command.index("192.0.2.1:29500")] = address
    command[command.index("--nproc-per-node") + 1] = "1"
    with running(command, command, folder=workplace) as machines:
        machines[1].terminate()
        reports = [machine.communicate(timeout=200)[1] for machine in machines]
        assert [machine.returncode for machine in machines] == [1, 1], reports
    (first,) = (report for report in reports if "updates 0 to" in report)  # whichever of them met the other
    (other,) = (report for report in reports if report is not first)
    assert "on 2 cpu" in first
    assert "saved in runs/r; the same command with --resume goes on" in first
    assert "training:" not in first + other
    assert "saved in" not in other
    check_saved(workplace)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_torchrun_ends_what_it_started_with_the_state_saved(workplace: Path, number: int):
    with running(documented(ONE_MACHINE, *ENDLESS), folder=workplace) as (torchrun,):
        started = children(torchrun)
        torchrun.send_signal(number)
        _, report = torchrun.communicate(timeout=200)
        assert not any(map(is_alive, started))
    (update,) = re.findall(r"stopped after update (\d+) of", report)
    check_saved(workplace)
    progress = Run(workplace / "runs/r").progress()
    assert progress is not None
    assert progress.update == int(update)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_that_torchrun_started(workplace: Path, rank: int):
    with running(documented(ONE_MACHINE, *ENDLESS), folder=workplace) as (torchrun,):
        started = children(torchrun)
        os.kill(started[rank], signal.SIGKILL)
        _, report = torchrun.communicate(timeout=200)
        assert torchrun.returncode == 1
        assert not any(map(is_alive, started))
    assert "on 2 cpu" in report
    check_saved(workplace)


@pytest.mark.parametrize(
    ("started", "options", "reason"),
    [
        ("5", "--device cpu", "--batch-size 48: 5 processes cannot share it equally"),
        (
            "48",
            "--device cuda --precision float32",
            f"torchrun --nproc-per-node 48: this machine has {torch.cuda.device_count()} GPUs",
        ),
    ],
)
def test_what_cannot_be_done_together_is_one_line(
    started: str,
    options: str,
    reason: str,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a run")
    monkeypatch.setenv("LOCAL_RANK", "0")
    for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.setenv(name, started)
    assert main(["fit", "linear", *SMALL, *options.split()]) == 1
    assert capsys.readouterr().err.strip() == f"training: {reason}"
    assert list((workplace / "runs").iterdir()) == [workplace / "runs" / "judges"]


def test_a_command_of_one_process_refuses_torchrun(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "2")
    assert main(["tune", "linear", *SMALL]) == 1
    reason = "tune: works in one process; torchrun is for `fit`"
    assert capsys.readouterr().err.strip() == f"training: {reason}"


def test_one_process_imports_nothing_of_torchrun(workplace: Path):
    script = (
        "import sys; from training.cli.commands import main\n"
        f"code = main(['fit', 'linear', *{SMALL}, '--updates', '1', '--no-package'])\n"
        "sys.exit(code or any(name.startswith('torch.distributed.elastic') for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=workplace, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
