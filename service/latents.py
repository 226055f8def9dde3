"""Rows of numbers to latent tensors and back: one flat row per image outside, any shape inside.

bodies -> tensor -> Model.run -> rows -> answers
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidField, Location, OperationNotOffered
from service.manifest import LatentSpec, Manifest

Rows = Sequence[Sequence[float]] | NDArray[np.float32]
"""One flat row per image; from JSON not yet known to be of one length."""


def spec(manifest: Manifest) -> LatentSpec:
    """Return the latent of a model that has one.

    Raises:
        OperationNotOffered: it only translates.
    """
    if manifest.latent is None:
        raise OperationNotOffered(f"{manifest.name} has no latent space.")
    return manifest.latent


def tensor(rows: Rows, latent: LatentSpec, places: Sequence[Location] | None = None) -> NDArray[np.float32]:
    """Return the latents as the model takes them, (N, *latent.shape).

    `places` says where in the body each row was, where that is not `latents`.

    Raises:
        InvalidField: a row is not as long as a latent, or a number does not fit float32.
    """
    for i, row in enumerate(rows):
        if len(row) != latent.size:
            raise InvalidField.at(_place(places, i), f"a latent of this model has {latent.size} numbers")
    with np.errstate(over="ignore"):
        array = np.asarray(rows, np.float32)
    if not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise InvalidField.at(_place(places, row), "Input should be finite float32 numbers")
    return array.reshape(-1, *latent.shape)


def _place(places: Sequence[Location] | None, row: int) -> Location:
    return places[row] if places else ("body", "latents", row)


def flat(latents: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return latents as flat rows, (N, D)."""
    return np.ascontiguousarray(latents.reshape(len(latents), -1))
