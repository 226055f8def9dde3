"""What a command can refuse without images it refuses before it reads any: here there are none to read."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from support.service_process import shipped
from training.cli.commands import main
from training.cli.parser import parser, read_config, record_of
from training.recipes import RECIPES
from training.runs.setup import sketch
from training.runtime.run_folder import Run, RunProgress

FIT = ["fit", "vae", "--name", "tried", "--width", "8"]
READS_DATA = "nowhere lacks Fashion-MNIST's four files"


@pytest.fixture(autouse=True)
def place(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with files that stand where folders should, and no Fashion-MNIST."""
    monkeypatch.setenv("FASHION_MNIST", "nowhere")
    (workplace / "file").touch()
    return workplace


@pytest.fixture
def begun(place: Path) -> Path:
    """A run that `FIT` has begun and saved once."""
    options = parser().parse_args(FIT)
    config = read_config(RECIPES["vae"].config_type, options)
    record = record_of(options, config)
    run, recipe = Run(place / "runs" / "tried"), sketch(record, config)
    run.start(record)
    parts = {
        kind: {name: part.state_dict() for name, part in getattr(recipe, kind).items()}
        for kind in ("networks", "averaged", "optimizers")
    }
    counters = {"update": 1, "seconds": 0.0, "history": [], "sums": {}, "memory": {}}
    run.save(parts | counters, RunProgress(update=1, total=2, seconds=0.0, device="cpu", epochs=[]))
    return run.folder


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_bytes()) | values))


def check_refused(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert reason in message
    assert message.count("\n") == 1


def write_classes(folder: Path, *names: str) -> None:
    """Write a folder of classes whose files are no images: to read them would be another refusal."""
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(10):
            (folder / name / f"{index}.png").write_bytes(b"not an image")


@pytest.mark.parametrize("words", [FIT, ["tune", "vae", "--holdout", "100"], ["evaluate", "{shipped}"]])
def test_without_a_fault_the_data_is_read(words: list[str], capsys: pytest.CaptureFixture[str]):
    words = [word.format(shipped=shipped("fashion-vae")) for word in words]
    check_refused(words, READS_DATA, capsys)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            "fit vae --default-for translate",
            "--default-for translate: this recipe offers decode, encode, gen",
        ),
        (
            "fit cyclegan --pair bags-boots --default-for encode",
            "--default-for encode: this recipe offers tr",
        ),
        ("fit cyclegan", "needs two domains and fashion-mnist has 10 classes"),
        ("fit cyclegan --pair bags-cats", "fashion-mnist has no class 'cats'"),
        ("fit cyclegan --pair bags-bag", "twice"),
        ("fit cyclegan --pair bags", "is not two domains"),
        ("fit paired --pair bags-boots", "no true pairs are known of bags and boots"),
        ("fit cyclegan --data mnist --pair bags-boots", "mnist has no class 'bags'"),
        ("fit sparse --active 2000", "--active 2000: the latent has only 1024 numbers"),
        ("fit vae --resume --name none", "there is no run in runs/none"),
        ("fit vae --size 64", "--size and --channels are for folders"),
        ("fit vae --checkpoints file", "file is a file"),
        ("fit vae --device cuda", "this machine has"),
        ("tune vae --holdout 0", "--holdout 0: a search judges on training images held back"),
        ("tune sparse --holdout 100 --active 2000", "--active 2000"),
        ("tune discogan --holdout 100", "needs two domains"),
        ("report --out file", "file is a file"),
        ("report --train --out file/report", "file is a file"),
    ],
)
def test_what_the_options_show(arguments: str, reason: str, capsys: pytest.CaptureFixture[str]):
    check_refused(arguments.split(), reason, capsys)
    assert [path.name for path in Path("runs").iterdir()] == ["judges"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_search_on_a_gpu_that_is_not_there(capsys: pytest.CaptureFixture[str]):
    check_refused(
        ["tune", "vae", "--holdout", "9", "--device", "cuda"], "--device cuda: this machine", capsys
    )


@pytest.mark.parametrize(("option", "value"), [("--threads", "0"), ("--trials", "0"), ("--trials", "-1")])
def test_numbers_out_of_range(option: str, value: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["tune", "vae", option, value])
    assert f"{value} is not a whole number from 1 to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("classes", "options", "reason"),
    [
        (["only"], "cgan", "cgan learns from classes and shoes has only one"),
        (["a", "b", "c"], "cyclegan", "needs two domains and shoes has 3 classes"),
        (["a", "b"], "paired", "no true pairs are known of a and b"),
        (["a", "b"], "vae --default-for translate", "this recipe offers"),
        (["a", "Any"], "cgan --null-share 0.1", "--null-share 0.1: a class is called 'any'"),
    ],
)
def test_what_the_folders_names_show(
    classes: list[str], options: str, reason: str, place: Path, capsys: pytest.CaptureFixture[str]
):
    write_classes(place / "shoes", *classes)
    check_refused(["fit", *options.split(), "--data", "shoes"], reason, capsys)


def test_a_class_that_is_too_small_is_found_before_the_others_are_read(
    place: Path, capsys: pytest.CaptureFixture[str]
):
    write_classes(place / "shoes", "a", "b")
    (place / "shoes" / "b" / "9.png").unlink()
    check_refused(["fit", "vae", "--data", "shoes"], "class 'b' in shoes has 0 readable images", capsys)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("", "stopped after update 1 of 2: add --resume to go on with it"),
        ("--resume --latent-dim 8", "cannot resume tried with another config: latent_dim was 16, is 8"),
        ("--resume --data digits", "cannot resume tried: its data was fashion-mnist, not digits"),
    ],
)
def test_a_run_that_is_another(options: str, reason: str, begun: Path, capsys: pytest.CaptureFixture[str]):
    check_refused([*FIT, *options.split()], reason, capsys)


def test_a_run_of_another_recipe(begun: Path, capsys: pytest.CaptureFixture[str]):
    check_refused(["fit", "linear", "--name", "tried", "--resume"], "its recipe was vae, not linear", capsys)


@pytest.mark.parametrize("arguments", [[*FIT, "--resume"], ["package", "tried"], ["evaluate", "tried"]])
def test_a_damaged_run(arguments: list[str], begun: Path, capsys: pytest.CaptureFixture[str]):
    check_refused(arguments, READS_DATA, capsys)
    (begun / "state.pt").write_bytes(b"damaged")
    check_refused(arguments, "state.pt cannot be read", capsys)
    change(begun / "run.json", config={"unknown": 1})
    check_refused(arguments, "belongs to another version: its setting 'unknown'", capsys)
    change(begun / "run.json", recipe="forgotten")
    check_refused(arguments, "there is no recipe 'forgotten' any more", capsys)
    (begun / "run.json").write_text("{")
    check_refused(arguments, "run.json is damaged or belongs to another version", capsys)


@pytest.mark.parametrize("command", ["package", "evaluate"])
def test_a_run_that_was_not_saved(command: str, begun: Path, capsys: pytest.CaptureFixture[str]):
    (begun / "progress.json").unlink()
    check_refused([command, "tried"], "has not saved anything yet", capsys)


@pytest.mark.parametrize(
    ("options", "reason"),
    [("--default-for translate", "this recipe offers decode"), ("--checkpoints file", "file is a file")],
)
def test_a_package_that_cannot_be(options: str, reason: str, begun: Path, capsys: pytest.CaptureFixture[str]):
    check_refused(["package", "tried", *options.split()], reason, capsys)


def test_a_search_that_is_another(place: Path, begun: Path, capsys: pytest.CaptureFixture[str]):
    search = ["tune", "autoencoder", "--name", "tried", "--data", "digits", "--holdout", "100"]
    small = ["--updates", "1", "--width", "4", "--latent-dim", "2", "--trials", "1"]
    assert main([*search, *small]) == 0
    reason = "runs/tune/tried holds a search with another data: give this one a --name of its own"
    check_refused([*search, *small, "--data", "fashion-mnist"], reason, capsys)


def copied(place: Path, name: str) -> Path:
    return shutil.copytree(shipped(name), place / "checkpoints" / name / shipped(name).name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("bags-boots", "translates and has no latent space"), ("fashion-cgan", "does not encode")],
)
def test_a_checkpoint_that_needs_no_reference(
    name: str, reason: str, place: Path, capsys: pytest.CaptureFixture[str]
):
    check_refused(["reference", str(copied(place, name))], reason, capsys)


def test_a_checkpoint_that_is_not_whole_gets_no_reference(place: Path, capsys: pytest.CaptureFixture[str]):
    folder = copied(place, "fashion-vae")
    check_refused(["reference", str(folder)], READS_DATA, capsys)
    (folder / "golden.npz").unlink()
    check_refused(["reference", str(folder)], "golden.npz is missing", capsys)


def test_a_run_gets_no_reference(begun: Path, capsys: pytest.CaptureFixture[str]):
    check_refused(["reference", "tried"], "checkpoint.json is missing", capsys)


def test_a_checkpoint_without_weights(place: Path, capsys: pytest.CaptureFixture[str]):
    folder = copied(place, "fashion-vae")
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    check_refused(["evaluate", str(folder)], "weights.safetensors is damaged", capsys)
    weights.unlink()
    check_refused(["evaluate", str(folder)], "has no weights.safetensors", capsys)


def test_a_checkpoint_is_not_packaged(place: Path, capsys: pytest.CaptureFixture[str]):
    reason = "is a checkpoint: package takes a run, or a checkpoint with --hub"
    check_refused(["package", str(copied(place, "fashion-vae"))], reason, capsys)
    change(place / "checkpoints/fashion-vae" / shipped("fashion-vae").name / "checkpoint.json", name="x")
    (place / "there").mkdir()
    arguments = ["package", "--hub", "there", "checkpoints/fashion-vae/5"]
    check_refused(arguments, "there exists already", capsys)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("cyclegan no.pth --domains a a", "two names that differ are needed"),
        ("cyclegan no.pth --domains a b --default-for encode", "this source offers translate"),
        ("cyclegan no.pth --domains a b --images nowhere", "--images nowhere: there is no readable image"),
        ("diffusers nowhere --default-for generate", "this source offers encode, decode"),
        ("pythae nowhere --default-for translate", "this source offers encode, decode, generate"),
        ("diffusers nowhere --checkpoints file", "file is a file"),
        ("python no:where --operation encode", "--latent is needed for encode"),
        ("python no:where --operation encode --latent 4 --default-for decode", "this source offers encode"),
        ("python no:where --operation encode --latent 1 1 1 1 1", "5 axes were given; 4 at most"),
        ("python no:where --operation encode --latent 4 0 0 --size 8", "without --size"),
        ("python no:where --operation encode --latent 4 --range nan 1", "--range nan 1: the second number"),
        ("python no:where --operation translate --domains a a", "two names that differ are needed"),
    ],
)
def test_what_is_imported_is_not_read_for_a_wrong_call(
    arguments: str, reason: str, capsys: pytest.CaptureFixture[str]
):
    check_refused(["import", *arguments.split()], reason, capsys)


@pytest.mark.parametrize("words", ["--size 5000", "--stride 2000", "--latent -1"])
def test_an_import_that_no_manifest_could_describe(words: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["import", "python", "no:where", "--operation", "encode", *words.split()])
    assert "is not a whole number from" in capsys.readouterr().err


def test_a_study_whose_findings_cannot_be_kept(place: Path, capsys: pytest.CaptureFixture[str]):
    (place / "runs" / "studies").touch()
    check_refused(["study", "denoising"], "runs/studies is a file", capsys)


def test_a_study_without_its_data_computes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delattr("training.studies.divergences.segments")
    check_refused(["study", "divergences"], READS_DATA, capsys)
