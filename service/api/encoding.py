"""From the images of a request to their latents.

routes, protocols -> fit -> encode -> Model.run, and the drift window if it counts -> draw
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from service.api.dependencies import deadline_s, settings, windows
from service.api.uploads import Upload
from service.checkpoint.manifest import Manifest
from service.errors import InferenceFailed, InvalidField
from service.inference.model import Model
from service.latent_space import latents, sampling


async def fit(request: Request, model: Model, upload: Upload) -> NDArray[np.float32]:
    """Return images fitted to a model, (N, C, H, W) in its range.

    Raises:
        UnsupportedMediaType, BodyTooLarge, InvalidField: an image cannot be used.
    """
    return await upload.tensor(model.manifest.image, settings(request).max_image_pixels)


async def encode(
    request: Request,
    model: Model,
    images: NDArray[np.float32],
    *,
    counts_for_drift: bool,
    due_s: float | None = None,
    waits: bool = False,
) -> dict[str, NDArray[Any]]:
    """Return what `encode` gives for fitted images (N, C, H, W): `latents`, and `logvar` of a distribution.

    Args:
        request: whose images they are.
        model: one that encodes.
        images: see `fit`.
        counts_for_drift: whether they are live traffic, to be compared with what the model was trained on.
        due_s: a deadline other than the request's, on the scale of `time.monotonic()`.
        waits: see `Model.run`.

    Raises:
        QueueFull, DeadlineExceeded, InferenceFailed: see `Model.run`.
    """
    due_s = deadline_s(request) if due_s is None else due_s
    outputs = await model.run("encode", {"images": images}, due_s, waits=waits)
    if counts_for_drift:
        windows(request).add(model, outputs["latents"])
    return outputs


async def latent_rows(
    request: Request, model: Model, upload: Upload, *, counts_for_drift: bool
) -> NDArray[np.float32]:
    """Return the latents of images as flat rows, (N, D); of a distribution its mean.

    Raises:
        UnsupportedMediaType, BodyTooLarge, InvalidField, QueueFull, DeadlineExceeded, InferenceFailed: see
            `fit` and `encode`.
    """
    images = await fit(request, model, upload)
    outputs = await encode(request, model, images, counts_for_drift=counts_for_drift)
    return latents.flat(outputs["latents"])


def draw(outputs: dict[str, NDArray[Any]], seeds: list[int], model: Manifest) -> NDArray[np.float32]:
    """Return a draw from each posterior that `encode` gave, (N, *latent.shape), one seed per image.

    Raises:
        InvalidField: the model has none.
        InferenceFailed: its width is beyond float32, though its logarithm was not.
    """
    if "logvar" not in outputs:
        raise InvalidField.at(("body", "sample"), f"{model.name} gives one latent, not a distribution")
    drawn = sampling.posterior(seeds, outputs["latents"], outputs["logvar"])
    if not np.isfinite(drawn).all():
        raise InferenceFailed
    return drawn
