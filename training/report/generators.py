"""Recipes that generate, side by side: what the same seeds give, the way between two, and the figures."""

from __future__ import annotations

import torch
from torch import Tensor

from training.data import Dataset, to_range, to_unit
from training.inference import batched
from training.interpolation import linear, spherical
from training.package import Trained, seeded_inputs
from training.progress import duration
from training.report.pages import Section
from training.report.pictures import SHOWN, strips_of
from training.report.runs import Group
from training.report.systems import SPREAD, of_runs, spread, words
from training.study import Plot, Table

QUALITY = ("cfid", "kid", "density", "coverage", "class_distance", "sharpness", "cfid_control")
FROM, TO = 0, 1
"""The seeds between which one goes."""


def generators_section(groups: list[Group]) -> Section:
    """Return what groups that generate images of one kind have to show; all are of the same data."""
    return Section("Generators side by side", (), (_comparison(groups), _same_seeds(groups), _ways(groups)))


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
                sum(p.numel() for p in group.first.recipe.operations()["generate"].parameters()),
            )
        )
    columns = ("system", "recipe", *map(words, QUALITY), "path length", "training time", "parameters")
    note = f"{SPREAD} Of sharpness 1 is that of the test images; path length is small where a step of the "
    note += "latent changes little of what F1 sees."
    return Table(title="What they reach and what it took", note=note, columns=columns, rows=tuple(rows))


def _same_seeds(groups: list[Group]) -> Plot:
    dataset = groups[0].first.data
    assert isinstance(dataset, Dataset)
    strips = [("test images", to_range(dataset.test.pixels[:SHOWN], (0.0, 1.0)))]
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
