"""Recipes that generate, side by side: what the same seeds give, the way between two, and the metrics."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from training.data.datasets import Dataset, to_unit
from training.metrics.interpolation import linear, spherical
from training.packaging.package import Trained, seeded_inputs
from training.report.rendering import Section
from training.report.run_plots import SHOWN, strips_of
from training.report.runs import Group, folder_of
from training.report.tables import SPREAD, of_runs, spread, words
from training.runs.restore import kept
from training.runtime.chunks import batched
from training.runtime.progress import duration
from training.studies.findings import Plot, Table

QUALITY = ("cfid", "kid", "density", "coverage", "class_distance", "sharpness", "cfid_control")
BATCH, REPEATS = 64, 20
FROM, TO = 0, 1
"""The seeds between which one goes."""


def generators_section(groups: list[Group]) -> Section:
    """Return what groups that generate images of one kind have to show; all are of the same data."""
    parts = (_comparison(groups), _class_shares(groups), _same_seeds(groups), _ways(groups))
    return Section("Generators side by side", (), parts)


def _comparison(groups: list[Group]) -> Table:
    rows = []
    for group in groups:
        seconds = [run.progress.seconds for run in group.runs]
        rows.append(
            (
                group.title,
                group.first.recipe.title,
                *(spread(of_runs(group, ("generation", "generated", name))) for name in QUALITY),
                spread(of_runs(group, ("path_length",))),
                duration(sum(seconds) / len(seconds)),
                _images_per_second(group.first),
                sum(p.numel() for p in group.first.recipe.operations()["generate"].parameters()),
            )
        )
    columns = (
        "system",
        "recipe",
        *map(words, QUALITY),
        "path length",
        "training time",
        "images/s",
        "parameters",
    )
    note = f"{SPREAD} Of sharpness 1 is that of the test images; path length is small where a step of the "
    note += "latent changes little of what F1 sees. Images are drawn 64 at once on "
    note += f"{torch.get_num_threads()} thread(s) for images/s, the best of {REPEATS} tries."
    return Table(title="What they reach and what it took", note=note, columns=columns, rows=tuple(rows))


def _images_per_second(run: Trained) -> float:
    """Return how many images a second the averaged network generates, latents given; it is measured once."""
    inputs = seeded_inputs(run.recipe, range(BATCH)).values()
    network = run.recipe.operations()["generate"]

    def measure() -> float:
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            batched(network, *inputs)
            seconds.append(time.perf_counter() - started)
        return BATCH / min(seconds)

    speed = kept(folder_of(run), "speed", measure, threads=torch.get_num_threads())
    assert isinstance(speed, float)
    return speed


def _class_shares(groups: list[Group]) -> Table:
    """Return what share of the images each class has, as the classifier of F1 sees them."""
    classes = groups[0].first.recipe.shape.classes
    shares = [
        (group.title, *(spread(of_runs(group, ("class_shares", "generated", name))) for name in classes))
        for group in groups
    ]
    real = (spread(of_runs(groups[0], ("class_shares", "test images", name))) for name in classes)
    note = "As the classifier of F1 sees them. A conditional generator is asked for all classes in turn."
    columns = ("system", *classes)
    return Table(
        title="Share of every class", note=note, columns=columns, rows=(("test images", *real), *shares)
    )


def _same_seeds(groups: list[Group]) -> Plot:
    dataset = groups[0].first.data
    assert isinstance(dataset, Dataset)
    strips = [("test images", dataset.test[:SHOWN].unit())]
    strips += [
        (group.name, _generated(group.first, seeded_inputs(group.first.recipe, range(SHOWN))))
        for group in groups
    ]
    return Plot(
        title=f"{dataset.name}: seeds 0 to {SHOWN - 1} of every generator",
        note="Above them the first test images. None was chosen.",
        png=strips_of(strips),
    )


def _ways(groups: list[Group]) -> Plot:
    """Return the way from one seed to another, in the class of the first where there are classes."""
    steps = torch.linspace(0, 1, SHOWN)[:, None]
    strips = []
    for group in groups:
        inputs = seeded_inputs(group.first.recipe, (FROM, TO))
        a, b = (inputs["latents"][row].expand(SHOWN, -1) for row in (0, 1))
        way = spherical if group.first.recipe.draws_normally else linear
        between = {"latents": way(a, b, steps)}
        if "labels" in inputs:
            between["labels"] = inputs["labels"][:1].expand(SHOWN)
        strips.append((group.name, _generated(group.first, between)))
    return Plot(
        title=f"The way from seed {FROM} to seed {TO}",
        note="Along the sphere for latents of N(0, I), else straight; in the class of the first seed.",
        png=strips_of(strips),
    )


def _generated(run: Trained, inputs: dict[str, Tensor]) -> Tensor:
    outputs = batched(run.recipe.operations()["generate"], *inputs.values())
    return to_unit(outputs, run.recipe.value_range)
