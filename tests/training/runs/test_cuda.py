"""Training on a GPU, where there is one: the losses of the processor, and checkpoints that serve."""

import math
from pathlib import Path

import pytest
import torch

from service import checkpoint
from support.fashion_subset import FASHION
from support.requirements import lack
from support.training.all_recipes import RUNS
from support.training.trainers import trainer_of
from training.cli.commands import main
from training.data.datasets import Dataset
from training.evaluation import judge
from training.recipes import RECIPES

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason=lack("a GPU", "see docs/devices.md"))

TOLERANCE = {"float32": 0.01, "bfloat16": 0.05}
"""Of a loss, relative: a GPU multiplies float32 with fewer digits than a processor does."""
FALLING = {"linear", "autoencoder", "sparse", "denoiser", "vae", "wae", "paired"}
"""Recipes with one loss that goes down from the first update on."""
LONG = 60


def losses(name: str, fashion: Dataset, folder: Path, device: str, updates: int, **settings: object):
    """Return the losses of every update."""
    trainer = trainer_of(name, fashion, folder, torch.device(device), updates=updates, **settings)
    rows = []
    for _ in range(updates):
        trainer._sums = {}
        trainer._one_update()
        rows.append(trainer._means())
    trainer.save()
    return rows


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", RUNS)
def test_the_first_losses_are_those_of_the_processor(
    name: str, precision: str, fashion: Dataset, tmp_path: Path
):
    recipe, settings = RUNS[name]
    settings = {**settings, "precision": precision}
    ours = losses(recipe, fashion, tmp_path / "cuda", "cuda", 3, **settings)
    theirs = losses(recipe, fashion, tmp_path / "cpu", "cpu", 3, **settings)
    for key, value in theirs[0].items():
        assert ours[0][key] == pytest.approx(value, rel=TOLERANCE[precision], abs=TOLERANCE[precision]), key
    assert all(math.isfinite(value) for row in ours for value in row.values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", sorted(FALLING))
def test_losses_fall(name: str, precision: str, fashion: Dataset, tmp_path: Path):
    rows = losses(name, fashion, tmp_path, "cuda", LONG, precision=precision)
    key = next(iter(rows[0]))
    assert sum(row[key] for row in rows[-5:]) < 0.9 * sum(row[key] for row in rows[:5])


@pytest.mark.parametrize("name", RECIPES)
def test_a_gpu_leaves_a_checkpoint(
    name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (workplace / "runs" / "judges").unlink()  # nobody else may have the judge of one pass
    monkeypatch.setattr(judge, "MAX_PASSES", 1)
    options = ["--path", str(FASHION), "--updates", "12", "--batch-size", "48", "--precision", "float32"]
    if RECIPES[name].translates:
        options += ["--pair", "edges-photos"]
    assert main(["fit", name, *options, "--name", "r"]) == 0
    assert "on cuda" in capsys.readouterr().err
    made = checkpoint.read(workplace / "checkpoints" / "r" / "1")
    assert made.manifest.training.device == "cuda"
    assert all(value <= 1e-4 for value in made.manifest.parity.values())
    resumed = ["fit", name, *options, "--name", "r", "--resume", "--device", "cpu", "--no-package"]
    assert main(resumed) == 0
