"""From the pictures of a request to their latents, for the routes that go on from there.

routes/interpolate, neighbours, compare -> latents_of -> Upload.tensor -> Model.run
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from service import latents
from service.model import Model
from service.state import deadline_s, settings
from service.uploads import Upload


async def latents_of(request: Request, model: Model, upload: Upload) -> NDArray[np.float32]:
    """Return the latents of pictures as flat rows, (N, D); of a distribution its mean.

    Raises:
        UnsupportedMediaType, BodyTooLarge, InvalidField: a picture cannot be used.
        QueueFull, DeadlineExceeded, InferenceFailed: see `Model.run`.
    """
    pictures = await upload.tensor(model.manifest.image, settings(request).max_image_pixels)
    outputs = await model.run("encode", {"images": pictures}, deadline_s(request))
    return latents.flat(outputs["latents"])
