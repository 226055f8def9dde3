"""The commands of `python -m training`, and how their failures read."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from training.data import DATASETS, DataError, Dataset
from training.domains import DomainPair
from training.evaluate import evaluate
from training.experiment import (
    build,
    config_of,
    dataset_of,
    feed_of,
    load_averages,
    load_data,
    progress_of,
    read_record,
)
from training.export import ExportError
from training.options import add_options, read_config
from training.package import OPERATIONS, Trained, package
from training.progress import Progress
from training.recipes import RECIPES
from training.run import RUNS, Run, RunError, RunRecord
from training.sheets import sheet
from training.trainer import Interrupted, Trainer

CHECKPOINTS = Path("checkpoints")
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the process's exit code: 0, 1 for a failure, 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True, soft_wrap=True)
    torch.set_num_threads(options.threads)
    try:
        code: int = options.command(options, console)
    except (DataError, RunError, ExportError, ValueError) as error:
        console.print(f"training: {error}", style="bold", highlight=False, markup=False)
        return 1
    except OSError as error:
        console.print(
            f"training: {error.filename or 'disk'}: {error.strerror}",
            style="bold",
            highlight=False,
            markup=False,
        )
        return 1
    return code


def fit(options: argparse.Namespace, console: Console) -> int:
    """Train a recipe from the start or from its last save, then package it."""
    kind = RECIPES[options.recipe]
    config = read_config(kind.config_type, options)
    say = _say(console)
    draft = RunRecord(
        name=options.name or _default_name(options),
        recipe=options.recipe,
        data=options.data,
        path=options.path,
        size=options.size,
        channels=options.channels,
        pair=options.pair,
        data_sha256="",
        config=config.model_dump(mode="json"),
    )
    data = load_data(draft, config, say)
    record = draft.model_copy(update={"data_sha256": dataset_of(data).sha256})
    run = Run(RUNS / record.name)
    device = torch.device(options.device)
    recipe = build(record, config, data, device)

    def save_sheet(name: str) -> None:
        sheet(recipe, data).save(run.sheets / f"{name}.png")

    with Progress(console, config.batch_size) as progress:
        trainer = Trainer(recipe, config, feed_of(data, config, recipe), run, save_sheet, progress)
        if options.resume:
            _same(run.record(), record)
            trainer.resume()
        else:
            run.start(record)
        say(f"{record.name}: {_described(data)}; updates {trainer.update} to {trainer.total} on {device}")
        try:
            trainer.train()
        except Interrupted:
            say(
                f"stopped after update {trainer.update} of {trainer.total}, saved in {run.folder}; "
                "the same command with --resume goes on"
            )
            return INTERRUPTED
    return _package(run.folder, options, console)


def package_run(options: argparse.Namespace, console: Console) -> int:
    """Package the last save of a run."""
    return _package(_folder(options.run), options, console)


def evaluate_folder(options: argparse.Namespace, console: Console) -> int:
    """Print the figures of a checkpoint or a run as JSON."""
    folder = _folder(options.run)
    record = read_record(folder)
    config = config_of(record)
    data = load_data(record, config, _say(console))
    if dataset_of(data).sha256 != record.data_sha256:
        raise DataError(f"the data of {record.name} has changed since it was trained")
    recipe = build(record, config, data, torch.device("cpu"))
    load_averages(folder, recipe)
    print(json.dumps(evaluate(recipe, data, console), indent=2))  # noqa: T201 - this is the command's output
    return 0


def _package(folder: Path, options: argparse.Namespace, console: Console) -> int:
    """Evaluate and package what a run folder holds, on the CPU."""
    record = read_record(folder)
    config = config_of(record)
    data = load_data(record, config, lambda _: None)
    recipe = build(record, config, data, torch.device("cpu"))
    load_averages(folder, recipe)
    metrics = evaluate(recipe, data, console)
    updates, seconds = progress_of(folder)
    trained = Trained(record, recipe, data, metrics, updates, seconds, options.device)
    target = package(trained, options.checkpoints, options.default_for)
    console.print(f"packaged {target}; `make serve` answers with it", highlight=False)
    return 0


def _same(old: RunRecord, new: RunRecord) -> None:
    """Refuse to resume a run that was asked something else."""
    for name in RunRecord.model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if name == "config" and before != after:
            changed = sorted(key for key in after if before.get(key) != after[key])
            raise RunError(
                f"cannot resume {old.name} with another config: "
                + ", ".join(f"{key} was {before.get(key)}, is {after[key]}" for key in changed)
            )
        if before != after:
            what = (
                "the data has changed since"
                if name == "data_sha256"
                else f"its {name} was {before}, not {after}"
            )
            raise RunError(f"cannot resume {old.name}: {what}")


def _folder(name: str) -> Path:
    """Return the folder of a run given by name or path, or of a checkpoint given by path."""
    for folder in (Path(name), RUNS / name):
        if (folder / "run.json").is_file():
            return folder
    raise RunError(
        f"{name!r} is neither a run in {RUNS} nor a checkpoint folder such as checkpoints/fashion-vae/1"
    )


def _default_name(options: argparse.Namespace) -> str:
    """Return e.g. `fashion-vae`, `bags-boots`, or the folder's name and the recipe."""
    if options.pair:
        words = options.pair
    else:
        source = "fashion" if options.data == "fashion-mnist" else Path(options.data).resolve().name
        words = source if RECIPES[options.recipe].translates else f"{source}-{options.recipe}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:64] or options.recipe


def _described(data: Dataset | DomainPair) -> str:
    dataset = dataset_of(data)
    kind = f"{dataset.size} x {dataset.size} {'grey' if dataset.channels == 1 else 'colour'}"
    if isinstance(data, DomainPair):
        return (
            " and ".join(f"{len(part):,} {name}" for part, name in zip(data.train, data.domains, strict=True))
            + f", {kind}"
        )
    images = f"{len(dataset.train):,} training and {len(dataset.test):,} test images"
    return f"{images}, {kind}, {len(dataset.classes)} classes"


def _say(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, highlight=False, markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    fitting = commands.add_parser("fit", help="train a recipe, then evaluate and package it")
    recipes = fitting.add_subparsers(required=True, metavar="recipe", dest="recipe")
    for name, kind in RECIPES.items():
        one = recipes.add_parser(name, help=kind.title, description=kind.title)
        one.set_defaults(command=fit)
        _add_data_options(one, kind.translates)
        _add_common_options(one)
        _add_package_options(one)
        add_options(one, kind.config_type)
    for command, function, text in (
        ("evaluate", evaluate_folder, "print the figures of a checkpoint or a run"),
        ("package", package_run, "evaluate and package the last save of a run"),
    ):
        one = commands.add_parser(command, help=text, description=text)
        one.add_argument("run", help="a run's name, or the path of a run or checkpoint folder")
        one.set_defaults(command=function)
        _add_common_options(one)
        if command == "package":
            _add_package_options(one)
    return parser


def _add_data_options(parser: argparse.ArgumentParser, translates: bool) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        default="fashion-mnist",
        metavar="DATA",
        help=f"{', '.join(DATASETS)}, or a folder of pictures whose sub-folders are classes "
        "(default: fashion-mnist)",
    )
    group.add_argument("--path", help="folder that holds the files of a named data set")
    group.add_argument(
        "--size", type=_size, metavar="N", help="side of a folder's images in pixels, 28 to 128 (default: 28)"
    )
    group.add_argument(
        "--channels", type=int, choices=(1, 3), help="read a folder as grey or as colour (default: as it is)"
    )
    group.add_argument(
        "--pair",
        help="the two domains, such as edges-photos or bags-boots" if translates else argparse.SUPPRESS,
    )


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument(
        "--device", default=default, choices=("cpu", "cuda"), help=f"where to train (default: {default})"
    )
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="processor threads (default: 2)")


def _add_package_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name", help="name of the run and of the checkpoint (default: from the data and the recipe)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last save")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=CHECKPOINTS,
        metavar="DIR",
        help="where checkpoints go (default: checkpoints)",
    )
    parser.add_argument(
        "--default-for",
        nargs="+",
        default=[],
        choices=OPERATIONS,
        metavar="OPERATION",
        help="operations that this checkpoint answers when a request names no model",
    )


def _size(text: str) -> int:
    size = int(text)
    if not 28 <= size <= 128:
        raise argparse.ArgumentTypeError(f"{size} is not in 28 to 128")
    return size
