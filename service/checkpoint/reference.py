"""What a checkpoint was trained on, as its latent space sees it: reference.npz.

    reference_arrays.py -> reference.npz -> checkpoint.read -> Reference -> neighbours, map, compare, encode

The rows are training images, every class in equal parts; the two sorted lists are of images that were held
out of training, against which others are found usual or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MAX_ROWS = 10_000
MAX_SIDE = 64
"""Pixels of a thumbnail."""


@dataclass(frozen=True)
class Reference:
    """Images with their latents, flat rows of D numbers, and how far from them others may lie."""

    latents: Floats
    """(R, D)"""
    labels: NDArray[np.int64]
    """(R,), indices into `classes`."""
    classes: tuple[str, ...]
    thumbnails: NDArray[np.uint8]
    """(R, h, w) or (R, h, w, 3)"""
    centre: Floats
    """(D,), the latent at the origin of the map."""
    axes: Floats
    """(2, D) orthonormal rows: the map's x and y."""
    mean: Floats
    """(D,)"""
    whitening: Floats
    """(D, D): (z - mean) @ whitening has the covariance I."""
    distances: Floats
    """Ascending, of held-out images: |(z - mean) @ whitening|."""
    errors: Floats
    """Ascending, of held-out images: mean squared error of the reconstruction, on [0, 1]; or empty."""

    def positions(self, latents: Floats) -> Floats:
        """Return where latents (N, D) lie on the map, (N, 2)."""
        return np.asarray((latents - self.centre) @ self.axes.T, np.float32)

    def nearest(self, latents: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
        """Return the rows nearest to each latent (N, D), in order, and their distances, both (N, count)."""
        given, known = (rows.astype(np.float64) for rows in (latents, self.latents))
        squares = (given**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * given @ known.T
        rows = squares.argsort(axis=1, kind="stable")[:, :count]
        distances = np.sqrt(np.maximum(np.take_along_axis(squares, rows, axis=1), 0))
        return rows, distances.astype(np.float32)

    def class_mean(self, label: int) -> Floats:
        """Return the mean latent of a class, (D,)."""
        mean: Floats = self.latents[self.labels == label].mean(axis=0)
        return mean

    def typicality(self, latents: Floats, errors: Floats | None) -> Floats:
        """Return, per latent (N, D), the probability that an image like those held out is as unusual, (N,).

        Each of the two tests, how far the latent lies out and how badly the image is reconstructed, has the
        conformal p-value (1 + #{held out >= this}) / (1 + held out) (Vovk, Gammerman & Shafer 2005);
        together, by Bonferroni, twice the smaller. `errors` are mean squared errors on [0, 1].
        """
        lowest = _tail(self.distances, np.linalg.norm((latents - self.mean) @ self.whitening, axis=1))
        if errors is None or not len(self.errors):
            return lowest
        both: Floats = np.minimum(1, 2 * np.minimum(lowest, _tail(self.errors, errors)), dtype=np.float32)
        return both


def _tail(ascending: Floats, values: Floats) -> Floats:
    at_least = len(ascending) - np.searchsorted(ascending, values, side="left")
    return ((1 + at_least) / (1 + len(ascending))).astype(np.float32)


def read(arrays: Mapping[str, NDArray[Any]], classes: tuple[str, ...], size: int) -> Reference:
    """Return the reference that reference.npz holds; latents have `size` numbers.

    Raises:
        ValueError: an array is missing, of another type or shape, or has numbers that make no sense.
    """
    rows = len(arrays["latents"]) if "latents" in arrays else 0
    shapes: dict[str, tuple[tuple[int | None, ...], type[np.generic]]] = {
        "latents": ((rows, size), np.float32),
        "labels": ((rows,), np.int64),
        "centre": ((size,), np.float32),
        "axes": ((2, size), np.float32),
        "mean": ((size,), np.float32),
        "whitening": ((size, size), np.float32),
        "distances": ((None,), np.float32),
        "errors": ((None,), np.float32),
    }
    for name, (shape, dtype) in shapes.items():
        _check(name, arrays.get(name), shape, dtype)
    thumbnails = arrays.get("thumbnails")
    if not (
        thumbnails is not None
        and thumbnails.dtype == np.uint8
        and thumbnails.shape[:1] == (rows,)
        and thumbnails.shape[3:] in ((), (3,))
        and all(1 <= side <= MAX_SIDE for side in thumbnails.shape[1:3])
        and len(thumbnails.shape) >= 3
    ):
        raise ValueError("thumbnails are not one small image per latent")
    if not 2 <= rows <= MAX_ROWS:
        raise ValueError(f"2 to {MAX_ROWS} rows, not {rows}")
    labels = arrays["labels"]
    if labels.min() < 0 or labels.max() >= len(classes) or len(np.unique(labels)) != len(classes):
        raise ValueError("labels are not the indices of the classes, each of which has a row")
    for name in ("distances", "errors"):
        if (np.diff(arrays[name]) < 0).any():
            raise ValueError(f"{name} do not ascend")
    if not len(arrays["distances"]):
        raise ValueError("distances are missing")
    return Reference(classes=classes, thumbnails=thumbnails, **{name: arrays[name] for name in shapes})


def _check(
    name: str, array: NDArray[Any] | None, shape: tuple[int | None, ...], dtype: type[np.generic]
) -> None:
    if array is None:
        raise ValueError(f"{name} is missing")
    fits = array.ndim == len(shape) and all(
        wanted in (None, found) for found, wanted in zip(array.shape, shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ValueError(f"{name} is not of the type and shape that the manifest says")
    if dtype == np.float32 and not np.isfinite(array).all():
        raise ValueError(f"{name} has numbers that are not finite")
