"""Latents by class: where the latents of the test images lie, and which classes they confuse.

A class is read off a latent by its ten nearest latents of training images; what is read wrongly is counted by
class and by the class it was taken for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from training.data.datasets import Dataset, to_range
from training.metrics.pca import PCA
from training.metrics.probes import nearest_class
from training.runtime.chunks import batched

EMBEDDED = 2000
"""Test images, the first ones, that t-SNE lays out: its time grows faster than their number."""
PERPLEXITY = 30
LOOKALIKES = {
    "fashion-mnist": (("T-shirt/top", "Pullover", "Coat", "Shirt"),),
    "mnist": (("3", "8"), ("4", "7", "9")),
    "digits": (("3", "8"), ("4", "7", "9")),
}
"""Groups of classes that look alike, by data set."""

Latents = NDArray[np.float32]
Labels = NDArray[np.int64]
Counts = NDArray[np.int64]
Point = tuple[float, float]


@dataclass(frozen=True)
class Confusion:
    """Test images of one class taken for another."""

    true: str
    taken_for: str
    count: int
    of: int
    """Test images of the class."""

    def __str__(self) -> str:
        return f"{self.true} taken for {self.taken_for}: {self.count:,} of {self.of:,}"


class LatentsByClass(BaseModel):
    """What is known of the latents of a data set's test images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    """Numbers in one latent."""
    counts: list[list[int]]
    """How often each class (row) was taken for each (column)."""
    plane: list[Point]
    """The latents themselves where they have two numbers, else along the two axes of most variance."""
    variance: float
    """The share of the latents' variance that the plane shows."""
    embedded: list[Point]
    """The first latents laid out by t-SNE; none where the plane shows all."""


def latents_by_class(encode: nn.Module, value_range: tuple[float, float], dataset: Dataset) -> LatentsByClass:
    """Encode all images of a data set and return where the classes lie and which are confused."""
    train, test = (mean_latents(encode, part.pixels, value_range) for part in (dataset.train, dataset.test))
    taken_for = nearest_class(torch.from_numpy(train), dataset.train.labels, torch.from_numpy(test)).numpy()
    plane, variance = principal_plane(test)
    return LatentsByClass(
        size=test.shape[1],
        counts=counted(dataset.test.labels.numpy(), taken_for, len(dataset.classes)).tolist(),
        plane=_points(plane),
        variance=variance,
        embedded=_points(neighbour_embedding(test)) if test.shape[1] > 2 else [],
    )


def mean_latents(encode: nn.Module, pixels: Tensor, value_range: tuple[float, float]) -> Latents:
    """Return the latents (N, D) of uint8 images; of a distribution the means."""

    def means(images: Tensor) -> Tensor:
        found = encode(to_range(images, value_range))
        mean: Tensor = found[0] if isinstance(found, tuple) else found
        return mean.flatten(1)

    return batched(means, pixels).float().numpy()


def counted(true: Labels, taken_for: Labels, classes: int) -> Counts:
    """Return how often each class (row) was taken for each (column), (classes, classes)."""
    cells = np.bincount(true * classes + taken_for, minlength=classes * classes)
    return cells.reshape(classes, classes)


def confusions(counts: Counts, classes: tuple[str, ...]) -> list[Confusion]:
    """Return every pair of classes that was confused, most frequent first."""
    found = [
        Confusion(true, other, int(counts[row, column]), int(counts[row].sum()))
        for row, true in enumerate(classes)
        for column, other in enumerate(classes)
        if row != column and counts[row, column]
    ]
    return sorted(found, key=lambda one: (-one.count, one.true, one.taken_for))


def lookalike_pairs(dataset: Dataset) -> list[tuple[str, str]]:
    """Return the ordered pairs of classes that look alike, none for a data set that has no such groups."""
    return [
        (true, other)
        for group in LOOKALIKES.get(dataset.name, ())
        for true in group
        for other in group
        if true != other
    ]


def principal_plane(points: Latents) -> tuple[Latents, float]:
    """Return latents (N, D) along the two axes of most variance, (N, 2), and the share of it that they show.

    Latents of two numbers stay as they are, and a latent of one gets a zero beside it.
    """
    if points.shape[1] <= 2:
        return np.pad(points, ((0, 0), (0, 2 - points.shape[1]))), 1.0
    rows = torch.from_numpy(points)
    pca = PCA.fit(rows, 2)
    return pca.project(rows, 2).float().numpy(), float(pca.shares.sum())


def neighbour_embedding(points: Latents) -> Latents:
    """Return the first latents (N, D) laid out by t-SNE (van der Maaten & Hinton 2008), (N, 2)."""
    from sklearn.manifold import TSNE

    first = points[:EMBEDDED]
    perplexity = min(PERPLEXITY, (len(first) - 1) / 3)
    return cast(Latents, TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(first))


def latent_grid(points: NDArray[np.float64], steps: int) -> tuple[Tensor, tuple[float, float, float, float]]:
    """Return latents (steps * steps, 2) over a plane, row by row from the top, and left, right, bottom, top.

    The plane holds the middle 98 in 100 of the latents along either axis.
    """
    (left, bottom), (right, top) = np.percentile(points, (1, 99), axis=0)
    across = torch.linspace(float(left), float(right), steps)
    down = torch.linspace(float(top), float(bottom), steps)
    rows, columns = torch.meshgrid(down, across, indexing="ij")
    grid = torch.stack([columns.flatten(), rows.flatten()], dim=1)
    half = (float(right - left) / (steps - 1) / 2, float(top - bottom) / (steps - 1) / 2)
    return grid, (
        float(left) - half[0],
        float(right) + half[0],
        float(bottom) - half[1],
        float(top) + half[1],
    )


def _points(rows: Latents) -> list[Point]:
    return [(round(float(x), 4), round(float(y), 4)) for x, y in rows]
