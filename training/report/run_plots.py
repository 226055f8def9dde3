"""Plots of runs: loss curves, originals against reconstructions, sample sheets."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from training.data.datasets import Dataset, to_unit
from training.data.domain_pairs import DomainPair
from training.evaluation.evaluate import reconstruct
from training.evaluation.sample_sheets import png_file
from training.metrics.pca import PCA
from training.packaging.package import Trained, preview
from training.plots import panels, png
from training.report.runs import Group
from training.studies.findings import Plot

SHOWN = 16
NOT_LOSSES = ("epoch", "update", "seconds")
LOG_FROM = 5
"""Positive losses that span more than this factor stand on a logarithmic axis."""


def loss_curves(groups: list[Group]) -> Plot | None:
    """Return every loss of every run against the updates, one panel per loss."""
    runs = [run for group in groups for run in group.runs]
    names = list(dict.fromkeys(name for run in runs for row in run.progress.epochs for name in row))
    names = [name for name in names if name not in NOT_LOSSES]
    if not names:
        return None
    figure, axes = panels(len(names), columns=3, height=2.7)
    for name, axis in zip(names, axes, strict=True):
        for index, group in enumerate(groups):
            for run in group.runs:
                rows = [row for row in run.progress.epochs if name in row]
                label = group.title if run is group.first else None
                axis.plot(
                    [row["update"] for row in rows],
                    [row[name] for row in rows],
                    color=f"C{index % 10}",
                    marker="." if len(rows) < 3 else None,
                    linewidth=1.1,
                    label=label,
                )
        _scale(axis)
        axis.set(title=name.replace("_", " "), xlabel="updates")
    axes[0].legend(fontsize=7, frameon=False)
    return Plot(
        title="Losses of every run",
        note="Mean of each pass over the training images; runs of several seeds share a colour.",
        png=png(figure),
    )


def reconstructions(groups: list[Group]) -> Plot:
    """Return the first test images and how each group's first run and PCA of its size give them back.

    All groups are of one data set.
    """
    dataset = groups[0].first.data
    assert isinstance(dataset, Dataset)
    images = dataset.test[:SHOWN].unit()
    strips = [("original", images)]
    train = dataset.train.unit()
    pca = PCA.fit(train, max(group.first.recipe.latent_dim for group in groups))
    known: set[int] = set()
    for group in sorted(groups, key=lambda group: group.first.recipe.latent_dim):
        run = group.first
        size = run.recipe.latent_dim
        if size not in known and size < min(train.flatten(1).shape):
            strips.append((f"PCA {size}", pca.rebuilt(images, size).clamp(0, 1)))
            known.add(size)
        strips.append((f"{group.name}  ({run.recipe.latent_dim})", rebuilt(run, images)))
    return Plot(
        title=f"{dataset.name}: the first {len(images)} test images and what comes back",
        note="In brackets the numbers in one latent; above the first model of a size, PCA of that size. "
        + "Mean squared error of the strips shown: "
        + ", ".join(
            f"{name.split('  ')[0]} {(strip - images).square().mean().item():.4f}"
            for name, strip in strips[1:]
        )
        + ".",
        png=strips_of(strips),
    )


def rebuilt(run: Trained, images: Tensor) -> Tensor:
    """Return images in [0, 1] through the latent of a run and back."""
    low, high = run.recipe.value_range
    outputs = reconstruct(run.recipe.operations(), images * (high - low) + low)
    return to_unit(outputs, run.recipe.value_range)


def sample_sheet(group: Group) -> Plot | None:
    """Return what the group's first run generates or translates, None where it does neither."""
    run = group.first
    keys = {key.partition(".")[0] for key in run.recipe.operations()}
    if "generate" in keys:
        title, note = f"{group.name}: seeds 0 to 63", "None was chosen; the service draws the same."
    elif isinstance(run.data, DomainPair):
        title = f"{group.name}: the first test images of either domain"
        note = "Input, translation, and back again; none was chosen."
    elif "translate" in keys:
        title = f"{group.name}: the first test images"
        note = "Clean, with noise, and with the noise taken off again; none was chosen."
    else:
        return None
    return Plot(title=title, note=note, png=png_file(preview(run)))


def strips_of(strips: list[tuple[str, Tensor]]) -> bytes:
    """Draw rows of images (N, C, size, size) in [0, 1], each after its name."""
    count, channels, size, _ = strips[0][1].shape
    figure, (axis,) = panels(1, width=1.6 + 0.52 * count, height=0.52 * len(strips) + 0.2)
    canvas = torch.cat([strip.permute(1, 2, 0, 3).flatten(2) for _, strip in strips], dim=1)
    draw(axis, canvas, (0, count * size, len(strips) * size, 0))
    axis.set_xticks([])
    axis.set_yticks([(index + 0.5) * size for index in range(len(strips))], [name for name, _ in strips])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    assert channels in (1, 3)
    return png(figure)


def draw(axis: Axes, image: Tensor, extent: tuple[float, float, float, float]) -> None:
    """Draw one image (C, height, width) in [0, 1] over left, right, bottom, top of the axes."""
    pixels: NDArray[np.float32] = image.permute(1, 2, 0).numpy()
    shown = pixels[..., 0] if image.shape[0] == 1 else pixels
    axis.imshow(shown, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto", interpolation="nearest")
    axis.grid(visible=False)


def _scale(axis: Axes) -> None:
    """Use a logarithmic axis for positive losses that span much."""
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axis.lines])
    if values.min() > 0 and values.max() / values.min() > LOG_FROM:
        axis.set_yscale("log")
