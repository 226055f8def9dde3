"""A run read back from its folder, and what was computed from it, kept beside its state.

`runs/<name>/metrics.json` and the like hold a value and its key (see cache.py), which has the hash of the
state it was computed from: it is computed again once the run has gone on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from pydantic import JsonValue
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from training.config import Config
from training.data.datasets import DataError, Dataset
from training.data.domain_pairs import DomainPair, dataset_of
from training.evaluation.cache import Key, cached, keep, versions
from training.evaluation.evaluate import Metrics, evaluate
from training.recipes.base import Recipe
from training.runs.setup import build, config_of, load_data
from training.runtime.run_folder import MANIFEST, WEIGHTS, Run, RunError, RunProgress, RunRecord

STATE = "state.pt"
METRICS = "metrics.json"
MEASURED_BY = ("metrics", "judge", "features")
Averaged = Mapping[str, Mapping[str, Tensor]]
"""Averaged weights, by network and name."""


@dataclass(frozen=True)
class Saved:
    """A run or checkpoint folder as it was read, without the images that it learned from."""

    folder: Path
    record: RunRecord
    config: Config
    averaged: Averaged
    progress: RunProgress | None
    """How far a run has come; None of a checkpoint."""


def opened(folder: Path) -> Saved:
    """Read a run or checkpoint folder.

    Raises:
        RunError: it is not one, has no weights, is damaged, or belongs to another version.
    """
    run = Run(folder)
    record = run.record()
    config = config_of(record)
    if (folder / MANIFEST).is_file():
        return Saved(folder, record, config, _packaged(folder), None)
    state, progress = run.load(torch.device("cpu")), run.progress()
    if state is None or progress is None:
        raise RunError(f"the run in {folder} has not saved anything yet")
    return Saved(folder, record, config, state["averaged"], progress)


def data_of(saved: Saved, log: Callable[[str], None]) -> Dataset | DomainPair:
    """Return the images that a run or checkpoint learned from.

    Raises:
        DataError: they cannot be loaded, or have changed since.
    """
    data = load_data(saved.record, saved.config, log)
    if dataset_of(data).sha256 != saved.record.data_sha256:
        raise DataError(f"the data of {saved.record.name} has changed since it was trained")
    return data


def load_recipe(saved: Saved, data: Dataset | DomainPair) -> Recipe:
    """Return the recipe of a run or checkpoint with its averaged weights, on the CPU.

    Raises:
        RunError: the weights belong to other networks.
    """
    recipe = build(saved.record.recipe, saved.config, data, torch.device("cpu"))
    try:
        for name, network in recipe.averaged.items():
            network.load_state_dict(saved.averaged.get(name, {}))
    except RuntimeError:
        raise RunError(f"the weights in {saved.folder} belong to other networks") from None
    return recipe


def _packaged(folder: Path) -> Averaged:
    """Return the averaged weights of a checkpoint."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise RunError(f"{folder} has no {WEIGHTS}, from which its networks could be made again")
    try:
        flat = load_file(path)
    except SafetensorError:
        raise RunError(f"{path} is damaged") from None
    networks: dict[str, dict[str, Tensor]] = {}
    for name, value in flat.items():
        network, _, key = name.partition(".")
        networks.setdefault(network, {})[key] = value
    return networks


def measure(folder: Path, recipe: Recipe, data: Dataset | DomainPair, console: Console) -> Metrics:
    """Return the metrics of a run or checkpoint folder, measured anew; those of a run are kept."""
    metrics = evaluate(recipe, data, console)
    if (folder / STATE).is_file():
        keep(folder / METRICS, _key(folder, *MEASURED_BY), metrics)
    return metrics


def cached_metrics(folder: Path, recipe: Recipe, data: Dataset | DomainPair, console: Console) -> Metrics:
    """Return the metrics kept of a run, or else measure them."""

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
