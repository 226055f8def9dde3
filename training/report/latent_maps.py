"""Latents by class in the report: scatter, confusions, and for latents of two numbers what they decode to."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from numpy.typing import NDArray
from pydantic import JsonValue

from training.data.datasets import Dataset, to_unit
from training.evaluation import latent_map
from training.evaluation.latent_map import Confusion, Counts, LatentsByClass
from training.metrics.probes import NEIGHBOURS
from training.packaging.package import Trained
from training.plots import CLASS_COLOURS, panels, png
from training.report.rendering import Section
from training.report.run_plots import draw
from training.report.runs import Group, folder_of
from training.runs.restore import kept
from training.runtime.chunks import batched
from training.studies.findings import Plot, Table

STEPS = 20
"""Decoded images along one side of a map."""
WORST = 8


def latents_section(groups: list[Group]) -> Section:
    """Return the latents of all groups that encode, of one data set."""
    dataset = _dataset(groups[0].first)
    found = {group.name: _computed(group.first) for group in groups}
    text = (
        f"Each test image is taken for the class most frequent among the {NEIGHBOURS} nearest latents "
        f"of training images. {len(dataset.train):,} training and {len(dataset.test):,} test images; "
        "of several seeds the first is shown."
    )
    sections = tuple(_group_section(group, found[group.name]) for group in groups)
    return Section(f"Latents by class: {dataset.name}", (text,), (_comparison(dataset, found),), sections)


def _computed(run: Trained) -> LatentsByClass:
    """Return the latents of a run, kept beside its state."""

    def compute() -> JsonValue:
        encode = run.recipe.operations()["encode"]
        return latent_map.latents_by_class(encode, run.recipe.value_range, _dataset(run)).model_dump(
            mode="json"
        )

    return LatentsByClass.model_validate(kept(folder_of(run), "latents", compute))


def _group_section(group: Group, found: LatentsByClass) -> Section:
    dataset = _dataset(group.first)
    counts = np.asarray(found.counts)
    parts: list[Table | Plot] = [_scatter(dataset, found)]
    if found.size == 2 and "decode" in group.first.recipe.operations():
        parts.append(_map(group.first, np.asarray(found.plane)))
    parts += [_matrix(dataset, counts), _worst(latent_map.confusions(counts, dataset.classes))]
    return Section(f"Latents of {group.name}", (), tuple(parts))


def _scatter(dataset: Dataset, found: LatentsByClass) -> Plot:
    axes_name = "the latent itself" if found.size <= 2 else f"PCA, {found.variance:.0%} of the variance"
    shown = [(axes_name, found.plane)]
    if found.embedded:
        shown.append((f"t-SNE of the first {len(found.embedded):,}", found.embedded))
    figure, axes = panels(len(shown), columns=2, width=4.4, height=4.2)
    for axis, (title, points) in zip(axes, shown, strict=True):
        _scatter_classes(axis, np.asarray(points), dataset)
        axis.set_title(title)
    names = ("number of the latent",) * 2 if found.size <= 2 else ("principal axis",) * 2
    axes[0].set(xlabel=f"first {names[0]}", ylabel=f"second {names[1]}")
    for axis in axes[1:]:
        axis.set(xticklabels=[], yticklabels=[], xlabel="distances far apart mean nothing here")
    handles, labels = axes[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside right center", frameon=False)
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set(alpha=1, sizes=[40])
    return Plot(
        title="Latents of the test images by class",
        note=f"Numbers in one latent: {found.size}. The outermost 1 in 1,000 on either side is out of view.",
        png=png(figure),
    )


def _scatter_classes(axis: Axes, points: NDArray[np.float64], dataset: Dataset) -> None:
    """Draw points in the order of the images, so that no class covers another, then name the classes."""
    colours = _colours(len(dataset.classes))
    labels = dataset.test.labels[: len(points)].tolist()
    area = min(14.0, max(3.0, 8000 / len(points)))
    axis.scatter(
        points[:, 0], points[:, 1], s=area, c=[colours[label] for label in labels], alpha=0.6, linewidths=0
    )
    for label, name in enumerate(dataset.classes):
        axis.scatter([], [], color=colours[label], label=name)
    low, high = np.percentile(points, (0.1, 99.9), axis=0)
    margin = 0.03 * (high - low)
    axis.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))


def _map(run: Trained, test: NDArray[np.float64]) -> Plot:
    """Return what the decoder makes of a grid of latents."""
    recipe = run.recipe
    grid, extent = latent_map.latent_grid(test, STEPS)
    images = to_unit(batched(recipe.operations()["decode"], grid), recipe.value_range)
    rows = images.unflatten(0, (STEPS, STEPS))
    figure, (axis,) = panels(1, width=6.4, height=6.4)
    draw(axis, rows.permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2), extent)
    axis.set(xlabel="first number of the latent", ylabel="second number of the latent")
    return Plot(
        title="The images that lie where the latents do",
        note=f"{STEPS} x {STEPS} latents, decoded; along either axis they span the middle 98 in 100 of the "
        "test images' latents.",
        png=png(figure),
    )


def _matrix(dataset: Dataset, counts: Counts) -> Plot:
    size = len(dataset.classes)
    side = max(3.5, 0.48 * size + 1.3)
    figure, (axis,) = panels(1, width=side + 0.6, height=side)
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(size):
        for column in range(size):
            if counts[row, column]:
                dark = shares[row, column] > 0.55
                text = f"{counts[row, column]}"
                axis.text(column, row, text, ha="center", va="center", fontsize=7, color="w" if dark else "k")
    axis.set_xticks(range(size), dataset.classes, rotation=45, ha="right")
    axis.set_yticks(range(size), dataset.classes)
    axis.set(xlabel=f"class of the {NEIGHBOURS} nearest latents", ylabel="true class")
    axis.grid(visible=False)
    right = int(counts.trace())
    return Plot(
        title="Which classes the latents confuse",
        note=f"{right:,} of {int(counts.sum()):,} test images are taken for what they are "
        f"({right / counts.sum():.4f}).",
        png=png(figure),
    )


def _worst(pairs: list[Confusion]) -> Table:
    return Table(
        title="Most frequent confusions",
        columns=("class", "taken for", "images", "of", "share"),
        rows=tuple(
            (one.true, one.taken_for, one.count, one.of, f"{one.count / one.of:.1%}") for one in pairs[:WORST]
        ),
    )


def _comparison(dataset: Dataset, found: dict[str, LatentsByClass]) -> Table:
    """Return the confusions of classes that look alike, and of all, side by side for all groups."""
    counted = {name: np.asarray(one.counts) for name, one in found.items()}
    index = {name: position for position, name in enumerate(dataset.classes)}
    pairs = latent_map.lookalike_pairs(dataset)
    rows: list[tuple[str | int | float, ...]] = []
    for true, other in pairs:
        cells = (int(counts[index[true], index[other]]) for counts in counted.values())
        rows.append((f"{true} taken for {other}", int((dataset.test.labels == index[true]).sum()), *cells))
    everything = len(dataset.test)
    if pairs:
        sums = (sum(int(counts[index[a], index[b]]) for a, b in pairs) for counts in counted.values())
        rows.append(("all of these", everything, *sums))
    rows.append(("all confusions", everything, *(int(c.sum() - c.trace()) for c in counted.values())))
    rows.append(
        (
            f"{NEIGHBOURS}-NN accuracy",
            everything,
            *(float(c.trace() / c.sum()) for c in counted.values()),
        )
    )
    groups = " and ".join("/".join(group) for group in latent_map.LOOKALIKES.get(dataset.name, ()))
    return Table(
        title=f"Classes that look alike: {groups}" if groups else "Confusions",
        columns=("confusion", "of", *counted),
        rows=tuple(rows),
    )


def _dataset(run: Trained) -> Dataset:
    assert isinstance(run.data, Dataset)
    return run.data


def _colours(count: int) -> list[Any]:
    colours = colormaps[CLASS_COLOURS]
    return [colours(index % colours.N) for index in range(count)]
