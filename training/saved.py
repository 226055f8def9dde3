"""A run read back from its folder, and what was computed from it, kept beside its state.

`runs/<name>/metrics.json` and the like hold a value and the hash of the state it was computed from: it is
computed again once the run has gone on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from pydantic import JsonValue
from rich.console import Console

from training.data import DataError, Dataset
from training.domains import DomainPair, dataset_of
from training.evaluate import Metrics, evaluate
from training.experiment import build, config_of, load_averages, load_data
from training.recipes.recipe import Recipe
from training.run import Run, replace

STATE = "state.pt"
METRICS = "metrics"


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
        keep(folder, METRICS, metrics)
    return metrics


def kept_figures(folder: Path, recipe: Recipe, data: Dataset | DomainPair, console: Console) -> Metrics:
    """Return the figures kept of a run, or else measure them."""

    def compute() -> Metrics:
        console.print(f"measuring {folder.name}", highlight=False)
        return evaluate(recipe, data, console)

    return cast(Metrics, kept(folder, METRICS, compute))


def kept(folder: Path, name: str, compute: Callable[[], JsonValue]) -> JsonValue:
    """Return `name` as it was kept for the present state of a run, or else compute and keep it."""
    path = folder / f"{name}.json"
    if path.is_file():
        stored = json.loads(path.read_bytes())
        if stored["state_sha256"] == _state_sha256(folder):
            value: JsonValue = stored["value"]
            return value
    return keep(folder, name, compute())


def keep(folder: Path, name: str, value: JsonValue) -> JsonValue:
    """Write a value computed from the present state of a run beside it, and return it."""
    stored = {"state_sha256": _state_sha256(folder), "value": value}
    replace(folder / f"{name}.json", json.dumps(stored, indent=1).encode())
    return value


def _state_sha256(folder: Path) -> str:
    return hashlib.sha256((folder / STATE).read_bytes()).hexdigest()
