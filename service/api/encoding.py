"""From the pictures of a request to their latents.

routes/interpolate, neighbours, compare -> latents_of -> Upload.tensor -> Model.run
routes/encode, protocols -> encode -> Model.run, Windows.add -> draw
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


async def latents_of(request: Request, model: Model, upload: Upload) -> NDArray[np.float32]:
    """Return the latents of pictures as flat rows, (N, D); of a distribution its mean.

    Raises:
        UnsupportedMediaType, BodyTooLarge, InvalidField: a picture cannot be used.
        QueueFull, DeadlineExceeded, InferenceFailed: see `Model.run`.
    """
    pictures = await upload.tensor(model.manifest.image, settings(request).max_image_pixels)
    outputs = await model.run("encode", {"images": pictures}, deadline_s(request))
    return latents.flat(outputs["latents"])


async def encode(
    request: Request, model: Model, pictures: NDArray[np.float32], deadline_s: float
) -> dict[str, NDArray[Any]]:
    """Return what `encode` gives for fitted pictures (N, C, H, W), and note the latents for the drift.

    Raises:
        QueueFull, DeadlineExceeded, InferenceFailed: see `Model.run`.
    """
    outputs = await model.run("encode", {"images": pictures}, deadline_s)
    windows(request).add(model, outputs["latents"])
    return outputs


def draw(outputs: dict[str, NDArray[Any]], seeds: list[int], model: Manifest) -> NDArray[np.float32]:
    """Return a draw from each posterior that `encode` gave, (N, *latent.shape), one seed per picture.

    Raises:
        InvalidField: the model has none.
        InferenceFailed: its width is beyond float32, though its logarithm was not.
    """
    if "logvar" not in outputs:
        raise InvalidField.at(("body", "sample"), f"{model.name} gives one latent, not a distribution")
    codes = sampling.posterior(seeds, outputs["latents"], outputs["logvar"])
    if not np.isfinite(codes).all():
        raise InferenceFailed
    return codes
