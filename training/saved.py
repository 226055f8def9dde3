"""A run read back from its folder, and what was computed from it, kept beside its state.

`runs/<name>/metrics.json` and the like hold a value and its key (see cache.py), which has the hash of the
state it was computed from: it is computed again once the run has gone on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from pydantic import JsonValue
from rich.console import Console

from training.cache import Key, cached, keep, versions
from training.data import DataError, Dataset
from training.domains import DomainPair
from training.evaluate import Metrics, evaluate
from training.experiment import build, config_of, dataset_of, load_averages, load_data
from training.recipes.recipe import Recipe
from training.run import Run

STATE = "state.pt"
METRICS = "metrics.json"
MEASURED_BY = ("metrics", "judge", "features")


def data_of(folder: Path, say: Callable[[str], None]) -> Dataset | DomainPair:
    """Return the data of a run or checkpoint folder.

    Raises:
        DataError: it cannot be had, or has changed since.
    """
    record = Run(folder).record()
    data = load_data(record, config_of(record), say)
    if dataset_of(data).sha256 != record.data_sha256:
        raise DataError(f"the data of {record.name} has changed since it was trained")
    return data


def restored(folder: Path, data: Dataset | DomainPair) -> Recipe:
    """Return the recipe of a run or checkpoint folder with its averaged weights, on the CPU.

    Raises:
        RunError: there are no such weights.
    """
    record = Run(folder).record()
    recipe = build(record.recipe, config_of(record), data, torch.device("cpu"))
    load_averages(folder, recipe)
    return recipe


def measure(folder: Path, recipe: Recipe, data: Dataset | DomainPair, console: Console) -> Metrics:
    """Return the figures of a run or checkpoint folder, measured anew; those of a run are kept."""
    metrics = evaluate(recipe, data, console)
    if (folder / STATE).is_file():
        keep(folder / METRICS, _key(folder, *MEASURED_BY), metrics)
    return metrics


def kept_figures(folder: Path, recipe: Recipe, data: Dataset | DomainPair, console: Console) -> Metrics:
    """Return the figures kept of a run, or else measure them."""

    def compute() -> Metrics:
        console.print(f"measuring {folder.name}", highlight=False)
        return evaluate(recipe, data, console)

    return cast(Metrics, cached(folder / METRICS, _key(folder, *MEASURED_BY), compute))


def kept(folder: Path, name: str, compute: Callable[[], JsonValue], **inputs: str | int) -> JsonValue:
    """Return `name` as it was kept for the present state of a run and further inputs, or else compute it."""
    return cached(folder / f"{name}.json", _key(folder, name) | inputs, compute)


def _key(folder: Path, *code: str) -> Key:
    """Return the key of what a run's present state and its data give."""
    state = hashlib.sha256((folder / STATE).read_bytes()).hexdigest()
    return versions(*code) | {"state": state, "data": Run(folder).record().data_sha256}
