"""The runs a report shows: read back from `runs/`, measured, and grouped where only the seed differs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from training.data.datasets import DataError, Dataset
from training.data.domain_pairs import DomainPair
from training.packaging.package import Trained
from training.recipes import RECIPES
from training.report.planned_runs import PLANNED_RUNS, PlannedRun
from training.runs.restore import cached_metrics, data_of, load_recipe, opened
from training.runs.setup import config_of
from training.runtime.run_folder import RUNS, Run, RunError, RunRecord


@dataclass(frozen=True)
class Group:
    """Runs that were asked the same but for their seed."""

    name: str
    runs: tuple[Trained, ...]

    @property
    def first(self) -> Trained:
        """Return the run that stands for all in plots: the one of the smallest seed."""
        return self.runs[0]

    @property
    def title(self) -> str:
        """Return the name, with the number of seeds where there are several."""
        return self.name if len(self.runs) == 1 else f"{self.name} ({len(self.runs)} seeds)"

    @property
    def member(self) -> PlannedRun | None:
        """Return the member of the family that this is."""
        return next((member for member in PLANNED_RUNS if member.name == self.name), None)


def folder_of(run: Trained) -> Path:
    """Return where a run lies."""
    return RUNS / run.record.name


def is_complete(name: str) -> bool:
    """Return whether the run of this name was trained to its end."""
    progress = Run(RUNS / name).progress()
    return progress is not None and progress.update >= progress.total


def read_runs(console: Console) -> tuple[list[Trained], list[str]]:
    """Return every saved run with its metrics, and a line for each that cannot be shown."""
    loaded: dict[tuple[object, ...], Dataset | DomainPair] = {}
    runs, refused = [], []
    for path in sorted(RUNS.glob("*/run.json")):
        try:
            runs.append(_read(path.parent, loaded, console))
        except (DataError, RunError, ValueError) as error:
            refused.append(f"`{path.parent}` is left out: {error}.")
    return runs, refused


def grouped(runs: list[Trained]) -> list[Group]:
    """Return the runs in groups that differ in their seed alone: the family's first, in its order."""
    order = [name for member in PLANNED_RUNS for name in member.fits()]
    groups: dict[tuple[object, ...], list[Trained]] = {}
    for run in sorted(runs, key=lambda run: (_position(run, order), seed_of(run), run.record.name)):
        groups.setdefault(_asked(run.record), []).append(run)
    return [Group(members[0].record.name, tuple(members)) for members in groups.values()]


def seed_of(run: Trained) -> int:
    return config_of(run.record).seed


def settings(record: RunRecord) -> str:
    """Return the settings of a run that are not the recipe's defaults, without the seed."""
    config = config_of(record)
    defaults = type(config)().model_dump()
    changed = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in config.model_dump().items()
        if name != "seed" and value != defaults[name]
    ]
    return ", ".join(changed)


def images_of(record: RunRecord) -> tuple[object, ...]:
    """Return what distinguishes the images of two runs."""
    parts = (record.data, record.data_sha256, record.path, record.size, record.channels, record.pair)
    return (*parts, config_of(record).holdout, RECIPES[record.recipe].translates)


def _read(folder: Path, loaded: dict[tuple[object, ...], Dataset | DomainPair], console: Console) -> Trained:
    """Return one run, its data read once for all runs on the same.

    Raises:
        DataError, RunError, ValueError: it cannot be shown; the message says why.
    """
    saved = opened(folder)
    if saved.record.name != folder.name:
        raise RunError(f"its record calls it {saved.record.name}")
    if saved.progress is None:
        raise RunError("it is a checkpoint")
    images = images_of(saved.record)
    if images not in loaded:
        loaded[images] = data_of(saved, console.print)
    data = loaded[images]
    recipe = load_recipe(saved, data)
    return Trained(saved.record, recipe, data, cached_metrics(folder, recipe, data, console), saved.progress)


def _asked(record: RunRecord) -> tuple[object, ...]:
    """Return what a run was asked but for its name and seed."""
    config = config_of(record).model_copy(update={"seed": 0})
    return (record.recipe, images_of(record), config.model_dump_json())


def _position(run: Trained, order: list[str]) -> int:
    return order.index(run.record.name) if run.record.name in order else len(order)
