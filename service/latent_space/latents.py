"""Rows of numbers to latent tensors and back: one flat row per image outside, any shape inside.

request_bodies -> shape, tensor -> Model.run -> flat -> rendering
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.checkpoint.manifest import LatentSpec, Manifest
from service.errors import BodyTooLarge, InvalidField, Location, OperationNotOffered

Rows = Sequence[Sequence[float]] | NDArray[np.float32]
"""One flat row per image; from JSON not yet known to be of one length."""

Shape = tuple[int, ...]


def spec(manifest: Manifest) -> LatentSpec:
    """Return the latent of a model that has one.

    Raises:
        OperationNotOffered: it only translates.
    """
    if manifest.latent is None:
        raise OperationNotOffered(f"{manifest.name} has no latent space.")
    return manifest.latent


def fixed_shape(manifest: Manifest) -> Shape:
    """Return the shape that every latent of a model has.

    Raises:
        OperationNotOffered: it only translates, or its latents are as large as their images.
    """
    latent = spec(manifest)
    if latent.is_free:
        raise OperationNotOffered(
            f"{manifest.name} has latents of no fixed size, so that there is no way from one to another."
        )
    return latent.fixed_shape


def shape(manifest: Manifest, given: Shape | None, max_pixels: int, place: Location) -> Shape:
    """Return the shape of the latents in a request, of which `place` says `given` or nothing.

    Raises:
        OperationNotOffered: the model has no latent space.
        InvalidField: it is not that of this model's latents, or is missing where they have several.
        BodyTooLarge: an image of that latent has more than `max_pixels`.
    """
    latent, image = spec(manifest), manifest.image
    if given is None and not latent.is_free:
        return latent.fixed_shape
    if given is None or not fits(given, latent):
        missing = ": give it, as /encode does" if given is None else ""
        raise InvalidField.at(place, f"a latent of this model has the shape [{described(latent)}]{missing}")
    if latent.is_free:
        height, width = (side * image.stride for side in given[1:])
        most = image.pixel_limit(max_pixels)
        if height * width > most:
            raise BodyTooLarge(f"A latent of this shape is an image of more than {most} pixels.")
        if not image.takes(height, width):
            fewest = image.side(1) // image.stride
            raise InvalidField.at(place, f"height and width of a latent of this model are at least {fewest}")
    return given


def described(latent: LatentSpec) -> str:
    """Return the axes of a latent for people to read."""
    return ", ".join("any" if axis is None else str(axis) for axis in latent.shape)


def fits(given: Shape, latent: LatentSpec) -> bool:
    """Say whether a latent can have this shape."""
    return len(given) == len(latent.shape) and all(
        side >= 1 and axis in (None, side) for side, axis in zip(given, latent.shape, strict=True)
    )


def tensor(rows: Rows, shape: Shape, places: Sequence[Location] | None = None) -> NDArray[np.float32]:
    """Return the latents as the model takes them, (N, *shape).

    `places` says where in the body each row was, where that is not `latents`.

    Raises:
        InvalidField: a row is not as long as a latent, or a number does not fit float32.
    """
    size = math.prod(shape)
    for i, row in enumerate(rows):
        if len(row) != size:
            raise InvalidField.at(_place(places, i), f"a latent of this model has {size} numbers")
    with np.errstate(over="ignore"):
        array = np.asarray(rows, np.float32)
    if not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise InvalidField.at(_place(places, row), "Input should be finite float32 numbers")
    return array.reshape(-1, *shape)


def _place(places: Sequence[Location] | None, row: int) -> Location:
    return places[row] if places else ("body", "latents", row)


def flat(latents: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return latents as flat rows, (N, D)."""
    return np.ascontiguousarray(latents.reshape(len(latents), -1))
