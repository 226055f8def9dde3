import gzip
import io
import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from support.fashion_subset import FASHION
from support.training.untrained_recipes import made
from training.cli.commands import main
from training.cli.parser import parser, read_config
from training.config import LogUniform, OneOf
from training.data.datasets import Dataset, fashion_mnist
from training.data.domain_pairs import domain_pair
from training.recipes import RECIPES
from training.runs.setup import build
from training.runs.trainer import Interrupted, Trainer
from training.runtime.run_folder import RunRecord
from training.tuning import objective

SMALL = ["--updates", "1", "--holdout", "256", "--width", "4", "--latent-dim", "2", "--threads", "1"]


def search(trials: int, *options: str, name: str = "tried", path: Path = FASHION) -> int:
    small = [*SMALL, "--trials", str(trials), "--path", str(path), "--name", name]
    return main(["tune", "autoencoder", *small, *options])


def found(name: str = "tried") -> dict:
    return json.loads(Path("runs/tune", name, "tune.json").read_bytes())


def outcomes(name: str = "tried") -> list:
    return [(trial["settings"], trial["value"]) for trial in found(name)["trials"]]


def test_a_stopped_search_goes_on_as_the_unbroken_one_and_repeats_no_trial(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    trained = []
    train = Trainer.train

    def counted(trainer: Trainer) -> None:
        trained.append(trainer.run.folder)
        if len(trained) == 2:
            raise Interrupted
        train(trainer)

    monkeypatch.setattr(Trainer, "train", counted)
    assert search(3) == 130
    assert len(outcomes()) == 1
    assert search(3) == 0
    assert [folder.name for folder in trained] == ["0", "1", "1", "2"]
    assert search(3) == 0
    assert len(trained) == 4
    assert search(3, name="unbroken") == 0
    assert outcomes() == outcomes("unbroken")
    assert len({json.dumps(settings) for settings, _ in outcomes()}) == 3


def test_trial_0_has_the_recipes_own_settings_and_given_ones_stay_fixed(workplace: Path):
    assert search(2, "--learning-rate", "0.002", "--batch-size", "32") == 0
    assert [list(settings) for settings, _ in outcomes()] == [["weight_decay"]] * 2
    assert outcomes()[0][0] == {"weight_decay": 0.0}
    for number in range(2):
        config = json.loads(Path(f"runs/tune/tried/trials/{number}/run.json").read_bytes())["config"]
        fixed = {key: config[key] for key in ("learning_rate", "batch_size", "latent_dim", "updates")}
        assert fixed == {"learning_rate": 0.002, "batch_size": 32, "latent_dim": 2, "updates": 1}


def test_all_trials_see_equally_many_images(workplace: Path):
    assert search(4, "--updates", "2", "--learning-rate", "0.001", "--weight-decay", "0") == 0
    runs = [
        json.loads((folder / "run.json").read_bytes())["config"]
        for folder in Path("runs/tune/tried/trials").iterdir()
    ]
    assert len({run["batch_size"] for run in runs}) > 1
    assert {run["batch_size"] * run["updates"] for run in runs} == {2 * 128}


def test_the_test_images_are_never_looked_at(workplace: Path, fashion: Dataset):
    """White test images with one label in place of the real ones leave every metric as it was."""
    spoiled = workplace / "spoiled"
    spoiled.mkdir()
    for file in FASHION.iterdir():
        content = bytearray(gzip.decompress(file.read_bytes()))
        if file.name.startswith("t10k"):
            header = 16 if "images" in file.name else 8
            content[header:] = (b"\xff" if "images" in file.name else b"\0") * (len(content) - header)
        (spoiled / file.name).write_bytes(gzip.compress(bytes(content)))
    assert (fashion_mnist(spoiled).test.pixels == 255).all()
    assert (fashion_mnist(spoiled).train.pixels == fashion.train.pixels).all()
    assert search(2) == 0
    assert search(2, name="spoiled", path=spoiled) == 0
    assert outcomes() == outcomes("spoiled")


def test_the_printed_command_trains_with_the_best_settings(
    workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert search(3) == 0
    command = capsys.readouterr().out.strip()
    assert command == found()["command"]
    python, *arguments = shlex.split(command)
    assert (python, arguments[:2]) == ("python", ["-m", "training"])
    options = parser().parse_args(arguments[2:])
    config = read_config(RECIPES["autoencoder"].config_type, options)
    best = min(found()["trials"], key=lambda trial: trial["value"])
    assert found()["best"] == best["number"]
    assert {name: getattr(config, name) for name in best["settings"]} == best["settings"]
    assert (options.path, config.latent_dim, config.holdout) == (str(FASHION), 2, 0)
    assert config.updates * config.batch_size == 7000 * 128
    assert (workplace / "runs/tune/tried/tune.png").read_bytes().startswith(b"\x89PNG")


def test_a_trial_that_diverges_is_kept_and_the_search_goes_on(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    losses = iter([1.0, float("nan")])
    update = RECIPES["autoencoder"].update

    def diverging(recipe, *arguments):
        returned = update(recipe, *arguments)
        return {name: loss * next(losses, 1.0) for name, loss in returned.items()}

    monkeypatch.setattr(RECIPES["autoencoder"], "update", diverging)
    assert search(3, "--batch-size", "128") == 0
    values = [value for _, value in outcomes()]
    assert values[1] is None
    assert values[0] is not None
    assert values[2] is not None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--updates", "2"], "holds a search with another config"),
        (["--weight-decay", "0.01"], "holds a search with another config, searched"),
        (["--holdout", "0"], "a search judges on training images held back"),
        (["--holdout", "600", "--name", "other"], "leaves no training images"),
        (["--holdout", "2", "--name", "other"], "leaves one side without"),
    ],
)
def test_a_search_that_cannot_be_gets_one_line(
    options: list[str], reason: str, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert search(1) == 0
    capsys.readouterr()
    assert search(1, *options) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipes_own_settings_lie_within_what_is_searched(name: str):
    kind = RECIPES[name].config_type
    searched = 0
    for field in kind.model_fields.values():
        for marker in field.metadata:
            if isinstance(marker, LogUniform):
                assert marker.low <= field.default <= marker.high
                searched += 1
            elif isinstance(marker, OneOf):
                assert field.default in marker.values
                searched += 1
    assert searched >= 2


def test_the_judge_of_a_search_is_one_that_saw_no_image_held_back(
    workplace: Path, fashion: Dataset, monkeypatch: pytest.MonkeyPatch
):
    judged = []

    def noted(recipe, data, console):
        judged.append(data)
        return {"label_agreement": 0.25}

    monkeypatch.setattr(objective, "validate", noted)
    options = ["--updates", "1", "--batch-size", "2", "--holdout", "256", "--width", "8", "--trials", "1"]
    assert main(["tune", "cgan", *options, "--path", str(FASHION), "--name", "tried"]) == 0
    (data,) = judged
    assert data.name != fashion.name  # the judge is kept under this name
    kept = fashion.hold_out(256)
    assert torch.equal(data.train.pixels, kept.train.pixels)
    assert torch.equal(data.test.pixels, kept.test.pixels)
    assert outcomes()[0][1] == -0.25


def test_a_translation_of_classes_is_searched_by_what_is_recognised_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, fashion: Dataset
):
    rows = [{"round_trip_l1_after_noise": a, "recognised_as_target": b} for a, b in ((0.1, 0.9), (0.3, 0.5))]
    metrics = {"bags to boots": rows[0], "boots to bags": rows[1], "judge_sha256": "0"}
    monkeypatch.setattr(objective, "validate", lambda *_: metrics)
    chosen, metrics = objective.judged(made("cyclegan"), domain_pair(fashion, "bags-boots"), Console())
    assert metrics == pytest.approx({"*.round_trip_l1_after_noise": 0.2, "*.recognised_as_target": 0.7})
    assert chosen.weights == {"*.round_trip_l1_after_noise": 1.0, "*.recognised_as_target": -1.0}


@pytest.mark.parametrize("name", [name for name, kind in RECIPES.items() if not kind.conditional])
def test_the_evaluation_has_every_recipes_objective(name: str, fashion: Dataset, workplace: Path):
    kind = RECIPES[name]
    config = kind.config_type.model_validate({"width": 4} if "width" in kind.config_type.model_fields else {})
    few = replace(fashion, train=fashion.train[:64], test=fashion.test[:16])
    data = domain_pair(few, "edges-photos") if kind.translates else few
    record = RunRecord(
        name="tried", recipe=name, data="", path=None, size=None, channels=None, pair=None, data_sha256="",
        config={},
    )  # fmt: skip
    recipe = build(record.recipe, config, data, torch.device("cpu"))
    chosen, metrics = objective.judged(recipe, data, Console(file=io.StringIO()))
    assert set(metrics) == set(chosen.weights)


def test_an_objective_names_metrics_by_their_path():
    metrics = {"mse": 1, "by_noise": {"a": {"psnr": 2.0}, "b": {"psnr": 4.0}}, "name": "x"}
    assert objective.numbers_at(metrics, ["mse"]) == [1.0]
    assert objective.numbers_at(metrics, ["by_noise", "*", "psnr"]) == [2.0, 4.0]
    assert objective.numbers_at(metrics, ["*", "psnr"]) == []
    assert objective.numbers_at(metrics, ["name"]) == []
