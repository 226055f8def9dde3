"""Training that is killed, runs out of disk, diverges or finds other data: nothing that was saved is lost."""

import json
import multiprocessing
import random
import shutil
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import ensure_running
from pathlib import Path

import pytest
import torch

from service import checkpoint
from support.fashion_subset import FASHION
from support.faulty_disks import read_only, small_disk
from support.service_process import ROOT
from support.training.trainers import train, trainer_of
from tools.robustness_table import Measured
from training.cli.commands import main
from training.data.datasets import Dataset
from training.runtime.run_folder import Run, RunError

pytestmark = pytest.mark.slow

UPDATES = 24
"""A pass over the data is two or three updates, and ends with a save: about ten in a run."""
SMALL = ["--updates", "3", "--batch-size", "16", "--width", "8"]

Start = Callable[[str, Path, int | None], ForkServerProcess]


@pytest.fixture(scope="module")
def start() -> Start:
    """Start training in a process that has imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.training.preloaded"])
    with pytest.MonkeyPatch.context() as patch:  # the server of older Pythons knows no other way to find it
        patch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
        ensure_running()

    def begin(recipe: str, folder: Path, event_number: int | None) -> ForkServerProcess:
        process = context.Process(target=train, args=(recipe, folder, UPDATES, event_number))
        process.start()
        return process

    return begin


class KilledRun:
    """One run that is killed again and again until it is through."""

    def __init__(self, recipe: str, folder: Path, start: Start) -> None:
        self.recipe, self.folder, self.start = recipe, folder, start
        self.saved = 0
        self.kills = 0

    def go_on(self, event_number: int | None = None, seconds: float | None = None) -> bool:
        """Train until killed, check what is on the disk, and say whether the run has come to its end."""
        process = self.start(self.recipe, self.folder, event_number)
        process.join(seconds)
        process.kill()
        process.join()
        ended = process.exitcode == 0
        self.kills += not ended
        self.check()
        return ended

    def check(self) -> None:
        """Check that a whole state is there, not older than one that was there before."""
        run = Run(self.folder)
        state = run.load(torch.device("cpu")) if (self.folder / "run.json").is_file() else None
        if state is None:
            assert self.saved == 0
            return
        assert state["update"] >= self.saved
        self.saved = state["update"]
        progress = run.progress()
        assert progress is None or progress.update <= self.saved


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "state.pt", weights_only=True)
    return {
        f"{kind} {name} {key}": value
        for kind in ("networks", "averaged")
        for name, network in state[kind].items()
        for key, value in network.items()
    }


@pytest.mark.parametrize(
    ("recipe", "kills"),
    [
        pytest.param("linear", 6, id="short"),
        pytest.param("linear", 150, id="full, linear", marks=pytest.mark.chaos),
        pytest.param("likelihood-vae", 50, id="full, likelihood-vae", marks=pytest.mark.chaos),
    ],
)
def test_a_killed_run_ends_where_the_unbroken_one_does(
    tmp_path: Path, start: Start, recipe: str, kills: int, measured: Measured
):
    longest_s = 0.0
    for name in ("first", "unbroken"):  # the first one waits until everything is imported
        started = time.monotonic()
        assert KilledRun(recipe, tmp_path / name, start).go_on()
        longest_s = time.monotonic() - started
    expected = weights(tmp_path / "unbroken")
    dice = random.Random(0)
    counted = timed = runs = 0
    while counted + timed < kills:
        runs += 1
        run = KilledRun(recipe, tmp_path / f"run-{runs}", start)
        if counted < kills / 2:
            run.go_on(event_number=2 + counted)
            counted += run.kills
        else:
            while counted + timed + run.kills < kills and not run.go_on(seconds=dice.uniform(0, longest_s)):
                pass
            timed += run.kills
        while not run.go_on():
            raise AssertionError("training does not come to its end")
        found = weights(run.folder)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        shutil.rmtree(run.folder)
    measured(
        12,
        f"{recipe}: killed at {counted} steps of its saves and at {timed} random moments: the state whole "
        f"each time, the weights of all {runs} runs those of the unbroken one, bit for bit",
    )


def test_a_full_disk_keeps_the_last_state_and_the_run_goes_on_once_there_is_room(
    fashion: Dataset, tmp_path: Path
):
    unbroken = trainer_of("vae", fashion, tmp_path / "unbroken", updates=UPDATES)
    unbroken.train()
    disk = tmp_path / "disk"
    disk.mkdir()
    size_bytes = (tmp_path / "unbroken" / "state.pt").stat().st_size
    with small_disk(disk, size_bytes * 5 // 2):
        first = trainer_of("vae", fashion, disk / "run", updates=UPDATES)
        first._one_update()
        first.save()
        saved = (disk / "run" / "state.pt").read_bytes()
        filler = disk / "filler"
        filler.write_bytes(bytes(size_bytes))
        with pytest.raises(RunError, match=r"state.pt cannot be written .*what was saved before stays"):
            first.train()
        assert (disk / "run" / "state.pt").read_bytes() == saved
        assert not (disk / "run" / "state.pt.new").exists()
        filler.unlink()
        second = trainer_of("vae", fashion, disk / "run", updates=UPDATES)
        second.resume()
        second.train()
        found, expected = weights(disk / "run"), weights(tmp_path / "unbroken")
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def fit(*options: str) -> int:
    return main(["fit", "vae", *SMALL, "--path", str(FASHION), *options])


def line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line that was logged, which has to be the failure."""
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message.strip().splitlines()[-1]


def test_a_read_only_folder_of_runs_is_one_line(workplace: Path, capsys: pytest.CaptureFixture[str]):
    with read_only(workplace / "runs"):
        assert fit() == 1
        assert line(capsys).startswith("training: runs/")


@pytest.mark.parametrize("spoil", [read_only, lambda folder: small_disk(folder, 4096)], ids=["ro", "full"])
def test_checkpoints_that_cannot_be_written_are_one_line_and_the_run_stays(
    workplace: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object]
):
    (workplace / "checkpoints").mkdir()
    with spoil(workplace / "checkpoints"):  # type: ignore[attr-defined]
        assert fit("--name", "tried") == 1
        message = line(capsys)
        assert message.startswith("training: ")
        assert any(word in message for word in ("Read-only", "denied", "No space", "too large"))
        assert list((workplace / "checkpoints").rglob("*.onnx")) == []
    assert main(["package", "tried"]) == 0
    assert checkpoint.read(workplace / "checkpoints" / "tried" / "1").manifest.training.steps == 3


def test_a_run_that_diverges_says_at_which_update_and_keeps_the_last_good_state(
    workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert fit("--name", "wild", "--updates", "200", "--learning-rate", "1e30") == 1
    message = line(capsys)
    assert "stopped being a number at update" in message
    assert "--learning-rate" in message
    state = Run(workplace / "runs" / "wild").load(torch.device("cpu"))
    assert state is None or all(value.isfinite().all() for value in weights(workplace / "runs/wild").values())


def test_data_that_changed_between_runs_is_refused_and_the_state_stays(
    workplace: Path, capsys: pytest.CaptureFixture[str]
):
    data = shutil.copytree(FASHION, workplace / "data")
    command = ["fit", "vae", *SMALL, "--path", str(data), "--name", "tried"]
    assert main([*command, "--no-package"]) == 0
    state = (workplace / "runs/tried/state.pt").read_bytes()
    labels = data / "train-labels-idx1-ubyte.gz"
    labels.unlink()
    shutil.copy(FASHION / "t10k-labels-idx1-ubyte.gz", labels)
    images = data / "train-images-idx3-ubyte.gz"
    images.unlink()
    shutil.copy(FASHION / "t10k-images-idx3-ubyte.gz", images)
    for again in ([*command, "--resume"], ["package", "tried"], ["evaluate", "tried"]):
        assert main(again) == 1
        assert "has changed since" in line(capsys)
    assert (workplace / "runs/tried/state.pt").read_bytes() == state


def test_a_run_killed_within_its_first_save_is_not_begun_anew(fashion: Dataset, tmp_path: Path):
    trainer_of("vae", fashion, tmp_path).save()
    (tmp_path / "progress.json").unlink()
    record = json.loads((tmp_path / "run.json").read_bytes())
    assert record["recipe"] == "vae"
    with pytest.raises(RunError, match="add --resume"):
        Run(tmp_path).start(Run(tmp_path).record())
    assert (tmp_path / "state.pt").is_file()
