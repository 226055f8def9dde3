"""Our runs and the peers in `runs/peers/`, with their figures.

What a peer scores is kept beside it, and judged again once the peer or the judge has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from benchmarks.budget import PEERS
from training.data.datasets import Dataset
from training.data.domain_pairs import dataset_of
from training.evaluation import features, generated_images
from training.evaluation.cache import cached, versions
from training.metrics.pca import PCA
from training.recipes import RECIPES
from training.runs.restore import cached_metrics, data_of, load_recipe, opened
from training.runtime.run_folder import Run
from training.studies.findings import Cell, Findings, Table, markdown, save

Figures = dict[str, Any]
CONSOLE = Console(stderr=True, soft_wrap=True)
IMAGE_FIGURES = ("cfid", "cfid_deviation", "kid", "density", "coverage", "cfid_control")


def dataset_of_run(run: Path) -> Dataset:
    """Return the images a run learned from."""
    saved = opened(run)
    if RECIPES[saved.record.recipe].translates:
        raise SystemExit(f"{run} learned from two domains")
    return dataset_of(data_of(saved, lambda line: CONSOLE.print(line, highlight=False)))


def figures_of_run(run: Path, *needed: str) -> Figures:
    """Return the figures of one of our runs, which must have those needed."""
    dataset = dataset_of_run(run)
    found = cached_metrics(run, load_recipe(opened(run), dataset), dataset, CONSOLE)
    if not set(needed) <= set(found):
        raise SystemExit(f"the figures of {run} are incomplete: python -m training evaluate {run}")
    return dict(found)


def seconds_of_run(run: Path) -> Cell:
    """Return the seconds of training."""
    progress = Run(run).progress()
    return progress.seconds if progress else ""


def peers_of(kind: str, dataset: Dataset) -> list[tuple[Path, Figures]]:
    """Return the peers of one kind that were trained on this data set."""
    found = [
        (path.parent, json.loads(path.read_bytes())) for path in sorted((PEERS / kind).glob("*/peer.json"))
    ]
    return [(folder, peer) for folder, peer in found if peer["data_sha256"] == dataset.sha256]


def judged(folder: Path, judge: Callable[[], Figures]) -> Figures:
    """Return what a peer scores, kept for as long as neither it nor what judges it changes."""

    def compute() -> Figures:
        CONSOLE.print(f"judging {folder}", highlight=False)
        return judge()

    peer = hashlib.sha256((folder / "peer.json").read_bytes()).hexdigest()
    return cast(
        Figures,
        cached(folder / "figures.json", versions("metrics", "features") | {"peer": peer}, compute),
    )


def judge_samples(folder: Path, dataset: Dataset) -> Figures:
    """Return the figures of a peer's `samples <how>.npz`, the mean over its sample seeds, by how."""
    pca = PCA.fit(dataset.train.unit(), generated_images.CONTROL_DIMENSIONS)
    scales = generated_images.FeatureSpaces(dataset, features.features_of(dataset, CONSOLE), pca)
    found: Figures = {}
    for path in sorted(folder.glob("samples *.npz")):
        with np.load(path) as samples:
            each = [scales.row(images(samples[name])) for name in samples]
        found[path.stem.removeprefix("samples ")] = generated_images.over_seeds(each)
    return found


def cells(row: Figures) -> list[Cell]:
    """Return the figures of samples in the order of their columns."""
    return [row.get(name, "") for name in IMAGE_FIGURES]


def images(stored: np.ndarray[Any, Any]) -> Tensor:
    """Return images as they are judged."""
    return torch.from_numpy(stored.astype(np.float32))


def publish(table: Table, question: str, name: str) -> None:
    """Print a comparison as Markdown, and keep it for the report as the findings called `name`."""
    findings = Findings(title=f"{table.title} beside other projects", question=question, parts=(table,))
    save(findings, name)
    for line in markdown(findings):
        print(line)  # noqa: T201 - the command's output
