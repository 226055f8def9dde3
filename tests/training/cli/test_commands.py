"""The command line as a person uses it: real processes where signals matter, `main` elsewhere."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from service import checkpoint
from service.checkpoint.manifest import LatentSpec
from service.latent_space import sampling
from support.fashion_subset import FASHION
from training.cli.commands import main
from training.data.datasets import Dataset
from training.evaluation import judge
from training.recipes import RECIPES

pytestmark = pytest.mark.slow

SMALL = ["--updates", "3", "--batch-size", "16", "--width", "8", "--path", str(FASHION)]
ROOT = Path(__file__).parents[3]


OPERATION = {"vae": "encode", "cgan": "generate", "cyclegan": "translate"}
"""Recipes that are tried, and what their checkpoints are the default for."""

Fitted = Callable[[str], Path]


def fit(recipe: str, *options: str) -> int:
    pair = ["--pair", "bags-boots"] if RECIPES[recipe].translates else []
    return main(["fit", recipe, *SMALL, *pair, *options])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what was fitted once is kept for all tests."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def fitted(workplace: Path, kept: Path) -> Fitted:
    """Return the workplace as `fit` leaves it: fitted("vae"), with the run and the checkpoint named tried."""

    def made(recipe: str) -> Path:
        if not (kept / recipe).exists():
            (workplace / "runs" / "judges").unlink()  # nobody else may have the judge of a few passes
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(judge, "MAX_PASSES", 3)
                assert fit(recipe, "--name", "tried", "--default-for", OPERATION[recipe]) == 0
            for folder in ("runs", "checkpoints"):
                shutil.copytree(workplace / folder / "tried", kept / recipe / folder / "tried")
        shutil.copytree(kept / recipe, workplace, dirs_exist_ok=True)
        return workplace

    return made


@pytest.mark.parametrize(("recipe", "operation"), OPERATION.items())
def test_fit_leaves_a_checkpoint_the_service_can_read(recipe: str, operation: str, fitted: Fitted):
    workplace = fitted(recipe)
    found = checkpoint.read(workplace / "checkpoints" / "tried" / "1")
    assert found.manifest.training.steps == 3
    assert found.manifest.default_for == (operation,)
    assert all(value <= 1e-4 for value in found.manifest.parity.values())
    assert all(graph.preferred_batch >= 8 for graph in found.manifest.graphs().values())
    assert {"README.md", "preview.png", "weights.safetensors"} <= set(found.manifest.files)
    assert not any(
        str(ROOT).encode() in graph or b"site-packages" in graph for graph in found.graphs.values()
    )
    assert (workplace / "runs" / "tried" / "sheets" / "final.png").is_file()


def test_the_preview_of_a_generator_is_seeds_0_to_63_as_the_service_draws_them(fitted: Fitted):
    folder = fitted("cgan") / "checkpoints" / "tried" / "1"
    session = onnxruntime.InferenceSession(folder / "generate.onnx")
    seeds = range(64)
    (images,) = session.run(
        None,
        {
            "latents": sampling.noise(seeds, LatentSpec(shape=(64,)), 1.0),
            "labels": sampling.labels(seeds, 10),
        },
    )
    preview = np.asarray(Image.open(folder / "preview.png"))[::2, ::2].astype(float)
    tiles = preview.reshape(8, 28, 8, 28).transpose(0, 2, 1, 3).reshape(64, 28, 28)
    assert np.abs(tiles - (images[:, 0] + 1) * 127.5).max() <= 1


def test_evaluate_prints_the_metrics_of_the_checkpoint_again(
    fitted: Fitted, capsys: pytest.CaptureFixture[str]
):
    folder = fitted("vae") / "checkpoints" / "tried" / "1"
    capsys.readouterr()
    assert main(["evaluate", str(folder)]) == 0
    printed = json.loads(capsys.readouterr().out)
    stored = checkpoint.read_manifest(folder).metrics
    assert flat(printed) == {
        name: pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
        for name, value in flat(stored).items()
    }


def flat(metrics: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Metrics in groups, with the groups' names before their own."""
    found = {}
    for name, value in metrics.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def test_packaging_again_makes_the_next_version_with_the_metrics_already_measured(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
):
    workplace = fitted("vae")
    monkeypatch.delattr("training.runs.restore.evaluate")
    assert main(["package", "tried", "--default-for", "encode"]) == 0
    assert checkpoint.versions(workplace / "checkpoints", "tried") == [2, 1]
    first, second = (
        checkpoint.read_manifest(workplace / "checkpoints" / "tried" / version) for version in ("1", "2")
    )
    assert first.metrics == second.metrics


def test_what_a_checkpoint_could_not_claim_is_refused_before_anything_takes_long(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    workplace = fitted("vae")
    monkeypatch.delattr("training.runs.restore.evaluate")
    capsys.readouterr()
    assert main(["package", "tried", "--default-for", "translate"]) == 1
    assert fit("vae", "--name", "another", "--default-for", "translate") == 1
    reason = "training: --default-for translate: this recipe offers decode, encode, generate"
    assert capsys.readouterr().err.splitlines() == [reason] * 2
    assert not (workplace / "runs" / "another").exists()


def test_a_folder_of_ones_own_becomes_a_checkpoint(workplace: Path, fashion: Dataset):
    for index, pixels in enumerate(fashion.train.pixels[:30, 0].numpy()):
        path = workplace / "My Shoes" / ("left" if index % 2 else "right") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert("RGB").resize((50, 40)).save(path)
    assert (
        main(["fit", "vae", "--data", "My Shoes", "--size", "36", "--updates", "2", "--batch-size", "8"]) == 0
    )
    manifest = checkpoint.read_manifest(workplace / "checkpoints" / "my-shoes-vae" / "1")
    assert (manifest.image.channels, manifest.image.height, manifest.image.width) == (3, 36, 36)
    assert main(["fit", "discogan", "--data", "My Shoes", "--updates", "2", "--batch-size", "8"]) == 0
    assert checkpoint.read_manifest(workplace / "checkpoints" / "my-shoes" / "1").domains == ("left", "right")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fit", "vae", "--data", "nowhere"], "'nowhere' is neither a folder nor one of fashion-mnist"),
        (["fit", "vae", "--path", "."], "lacks Fashion-MNIST's four files"),
        (["fit", "vae", "--latent-dim", "0"], "--latent-dim 0: input should be greater than or equal to 1"),
        (["fit", "vae", "--learning-rate", "fast"], "--learning-rate fast: input should be a valid number"),
        (["fit", "vae", "--size", "64"], "--size and --channels are for folders"),
        (["fit", "cyclegan", "--path", str(FASHION)], "give --pair edges-photos"),
        (["fit", "vae", "--path", str(FASHION), "--resume", "--name", "none"], "there is no run in"),
        (["evaluate", "nothing"], "neither a run in runs nor a checkpoint folder"),
    ],
)
def test_a_wrong_call_gets_one_line(
    arguments: list[str], reason: str, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert reason in message
    assert "Traceback" not in message


def test_a_conditional_recipe_refuses_a_folder_of_one_class(
    workplace: Path, fashion: Dataset, capsys: pytest.CaptureFixture[str]
):
    (workplace / "shoes").mkdir()
    for index, pixels in enumerate(fashion.train.pixels[:12, 0].numpy()):
        Image.fromarray(pixels).save(workplace / "shoes" / f"{index}.png")
    assert main(["fit", "cgan", "--data", "shoes"]) == 1
    assert "learns from classes and shoes has only one" in capsys.readouterr().err


def test_resuming_with_another_config_names_what_differs(fitted: Fitted, capsys: pytest.CaptureFixture[str]):
    fitted("vae")
    assert fit("vae", "--name", "tried", "--resume", "--latent-dim", "8") == 1
    assert "cannot resume tried with another config: latent_dim was 16, is 8" in capsys.readouterr().err


def test_resuming_over_changed_data_is_refused(fitted: Fitted, capsys: pytest.CaptureFixture[str]):
    workplace = fitted("vae")
    record = json.loads((workplace / "runs/tried/run.json").read_bytes()) | {"data_sha256": "0" * 64}
    (workplace / "runs/tried/run.json").write_text(json.dumps(record))
    assert fit("vae", "--name", "tried", "--resume") == 1
    assert "the data has changed since" in capsys.readouterr().err


def test_ctrl_c_saves_and_resume_ends_where_the_unbroken_run_does(workplace: Path):
    words = [
        "fit",
        "vae",
        "--path",
        str(FASHION),
        "--updates",
        "40",
        "--batch-size",
        "64",
        "--width",
        "8",
        "--name",
    ]
    command = [sys.executable, "-m", "training", *words, "broken"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    state, deadline = workplace / "runs/broken/state.pt", time.monotonic() + 60
    while not state.exists():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command with --resume goes on" in message
    assert "Traceback" not in message
    for options in (["broken", "--resume"], ["unbroken"]):
        assert main([*words, *options, "--no-package"]) == 0
    resumed, unbroken = (
        torch.load(workplace / "runs" / name / "state.pt", weights_only=True)
        for name in ("broken", "unbroken")
    )
    for kind in ("networks", "averaged"):
        for name, weights in unbroken[kind].items():
            assert all(torch.equal(value, resumed[kind][name][key]) for key, value in weights.items())
