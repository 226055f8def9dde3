"""The command line of `python -m training`; a config's fields become options, each written down once.

There are two styles of command line in this project: this one, argparse with options made from the configs of
the recipes, and the service's, which pydantic-settings makes of its settings. The latter has no sub-commands
with choices, groups and help for each recipe; turning fields into options takes forty lines here.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import torch
from pydantic import ValidationError

from training.config import Config
from training.data.datasets import DATASETS
from training.importing.options import add_kinds
from training.packaging.package import NAME, OPERATIONS
from training.recipes import RECIPES
from training.runtime.devices import fastest
from training.runtime.run_folder import RUNS, RunRecord
from training.studies import STUDIES

CHECKPOINTS = Path("checkpoints")
REPORT = RUNS / "report"
TRIAL = {"updates": 500, "holdout": 5000}
"""Settings that `tune` has other defaults of."""


def parser(program: str = "python -m training") -> argparse.ArgumentParser:
    """Return the parser; what it returns has `command` set to one of COMMANDS in commands.py."""
    top = argparse.ArgumentParser(prog=program, description="From images to a checkpoint that serves.")
    commands = top.add_subparsers(required=True, metavar="command", dest="command")
    fit = commands.add_parser("fit", help="train a recipe, then evaluate and package it")
    recipes = fit.add_subparsers(required=True, metavar="recipe", dest="recipe")
    for name, kind in RECIPES.items():
        one = recipes.add_parser(name, help=kind.title, description=kind.title)
        _add_data_options(one, kind.translates)
        _add_run_options(one).add_argument("--resume", action="store_true", help="go on from the last save")
        _add_checkpoint_options(one).add_argument(
            "--no-package", action="store_true", help="judge the run but write no checkpoint"
        )
        _add_config_options(one, kind.config_type)
    text = "search a recipe's settings on held-out training images; the same command goes on with a search"
    tune = commands.add_parser("tune", help=text, description=text)
    recipes = tune.add_subparsers(required=True, metavar="recipe", dest="recipe")
    for name, kind in RECIPES.items():
        one = recipes.add_parser(
            name, help=kind.title, description=f"{kind.title}. Settings given are fixed."
        )
        _add_data_options(one, kind.translates)
        _add_run_options(one)
        one.add_argument(
            "--trials", type=_between(1, 100_000), default=20, metavar="N", help="in all (default: 20)"
        )
        _add_config_options(one, kind.config_type, TRIAL)
    for command, text in (
        ("evaluate", "print the metrics of a checkpoint or a run as JSON"),
        ("package", "evaluate and package the last save of a run"),
    ):
        one = commands.add_parser(command, help=text, description=text)
        one.add_argument("run", help="a run's name, or the path of a run or checkpoint folder")
        _add_threads(one)
        if command == "package":
            _add_checkpoint_options(one)
            _add_hub_options(one)
    text = "make a checkpoint of what was trained elsewhere"
    for one in add_kinds(commands.add_parser("import", help=text, description=text)):
        one.add_argument("--name", type=_name, help="name of the checkpoint (default: that of the source)")
        _add_checkpoint_options(one)
        _add_threads(one)
    text = "write a checkpoint's next version, with the images that maps, neighbours and comparisons need"
    one = commands.add_parser("reference", help=text, description=text)
    one.add_argument(
        "checkpoint", type=Path, help="the path of a version's folder, such as checkpoints/mine/1"
    )
    _add_threads(one)
    text = "put a claim of the course to numbers"
    one = commands.add_parser("study", help=text, description=text)
    one.add_argument("study", choices=STUDIES)
    _add_threads(one)
    text = "build one HTML and one Markdown report from saved runs and studies"
    one = commands.add_parser("report", help=text, description=text)
    one.add_argument(
        "--out", type=Path, default=REPORT, metavar="DIR", help=f"where it goes (default: {REPORT})"
    )
    one.add_argument("--train", action="store_true", help="first train and study whatever it still lacks")
    _add_threads(one)
    return top


def read_config(kind: type[Config], options: argparse.Namespace) -> Config:
    """Return the typed config from parsed options, its precision chosen for the device where it is left open.

    Raises:
        ValueError: an option is out of range; the message names it.
    """
    given = {name: getattr(options, name) for name in kind.model_fields if getattr(options, name) is not None}
    try:
        config = kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name, message = str(first["loc"][0]), first["msg"]
        raise ValueError(
            f"--{name.replace('_', '-')} {given[name]}: {message[0].lower()}{message[1:]}"
        ) from None
    if config.precision == "auto":
        return config.model_copy(update={"precision": fastest(options.device)})
    return config


def record_of(options: argparse.Namespace, config: Config) -> RunRecord:
    """Return what a run is asked to do, without the hash of data that is not read yet."""
    return RunRecord(
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


def _default_name(options: argparse.Namespace) -> str:
    """Return e.g. `fashion-vae`, `bags-boots`, or the folder's name and the recipe."""
    if options.pair:
        words = options.pair
    else:
        source = "fashion" if options.data == "fashion-mnist" else Path(options.data).resolve().name
        words = source if RECIPES[options.recipe].translates else f"{source}-{options.recipe}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:64] or options.recipe


def _add_data_options(one: argparse.ArgumentParser, translates: bool) -> None:
    group = one.add_argument_group("data")
    group.add_argument(
        "--data",
        default="fashion-mnist",
        metavar="DATA",
        help=f"{', '.join(DATASETS)}, or a folder of images whose sub-folders are classes "
        "(default: fashion-mnist)",
    )
    group.add_argument("--path", help="folder that holds the files of a named data set")
    group.add_argument(
        "--size",
        type=_between(28, 128),
        metavar="N",
        help="side of a folder's images in pixels, 28 to 128 (default: 28)",
    )
    group.add_argument(
        "--channels", type=int, choices=(1, 3), help="read a folder as grey or as colour (default: as it is)"
    )
    one.set_defaults(pair=None)
    if translates:
        group.add_argument("--pair", help="the two domains, such as edges-photos or bags-boots")


def _add_run_options(one: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    default = "cuda" if torch.cuda.is_available() else "cpu"
    group = one.add_argument_group("run")
    group.add_argument(
        "--name", type=_name, help="name of the run and of the checkpoint (default: from data and recipe)"
    )
    group.add_argument(
        "--device",
        default=default,
        choices=("cpu", "cuda"),
        help=f"where to train; with several, see docs/devices.md (default: {default})",
    )
    _add_threads(group)
    return group


def _add_threads(one: argparse._ActionsContainer) -> None:
    one.add_argument(
        "--threads",
        type=_between(1, 1024),
        default=torch.get_num_threads(),
        metavar="N",
        help="processor threads of a process (default: OMP_NUM_THREADS, else one per core)",
    )


def _add_checkpoint_options(one: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = one.add_argument_group("checkpoint")
    group.add_argument(
        "--checkpoints",
        type=Path,
        default=CHECKPOINTS,
        metavar="DIR",
        help=f"where checkpoints go (default: {CHECKPOINTS})",
    )
    group.add_argument(
        "--default-for",
        nargs="+",
        default=[],
        choices=OPERATIONS,
        metavar="OPERATION",
        help="operations that this checkpoint answers when a request names no model",
    )
    return group


def _add_hub_options(one: argparse.ArgumentParser) -> None:
    group = one.add_argument_group("Hugging Face hub").add_mutually_exclusive_group()
    group.add_argument(
        "--hub",
        type=Path,
        metavar="DIR",
        help="write the checkpoint folder given to the new folder DIR, in the layout of the hub",
    )
    group.add_argument(
        "--from-hub",
        action="store_true",
        help="the folder given has that layout: write the checkpoint that it was, byte for byte",
    )


def _add_config_options(
    one: argparse.ArgumentParser, kind: type[Config], defaults: Mapping[str, int] | None = None
) -> None:
    group = one.add_argument_group("settings of this recipe")
    for name, field in kind.model_fields.items():
        ours = (defaults or {}).get(name)
        default = field.default if ours is None else ours
        shown = "" if default is None else f" (default: {default})"
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else None
        group.add_argument(
            f"--{name.replace('_', '-')}",
            default=ours,
            choices=choices,
            metavar=None if choices else _metavar(field.annotation),
            help=f"{field.description}{shown}",
        )


def _metavar(annotation: Any) -> str:
    """Return N for a whole number, X for any other."""
    return "N" if _holds(annotation, int) else "X"


def _holds(annotation: Any, kind: type) -> bool:
    return annotation is kind or any(_holds(part, kind) for part in get_args(annotation))


def _between(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a whole number within these bounds."""

    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {low} to {high}")
        return int(text)

    return read


def _name(text: str) -> str:
    if not re.match(NAME, text):
        raise argparse.ArgumentTypeError(f"{text!r}: lower-case letters, digits and hyphens, at most 64")
    return text
