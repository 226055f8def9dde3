"""Into the latent space and out of it again: /reconstruct."""

from __future__ import annotations

import asyncio

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import encoding, examples, image_bodies, openapi, rendering, responses
from service.api.dependencies import deadline_s, repository
from service.api.image_lines import ImageLines
from service.api.payload import Members, OutputImages
from service.api.requests import Options, ReconstructRequest
from service.api.responder import Responder
from service.api.uploads import Upload
from service.checkpoint.manifest import ImageSpec
from service.http.fast_path import raw_router
from service.inference.model import Model
from service.latent_space import image_metrics
from service.latent_space.image_metrics import to_unit_range

router = raw_router("latent space")


@router.post(
    "/reconstruct",
    summary="Encode images and decode them again",
    openapi_extra=openapi.post(
        ReconstructRequest,
        responses.ReconstructResponse,
        {"images": [examples.boot_base64()]},
        images=Options,
    ),
)
async def reconstruct(request: Request) -> Response:
    """Return each image as the model gives it back, and how far that is from the image as it was fitted.

    The distances are on the scale [0, 1], before the answer's images are rounded to 8 bits.
    """
    respond = Responder(request, rendering.OF_IMAGES)
    options, images = await image_bodies.read_images(request, Options, ReconstructRequest)
    model = repository(request).get(options.model, "reconstruct")
    if isinstance(images, ImageLines):
        parts = (await _reconstruct(request, model, part) async for part in images.uploads(model.manifest))
        return respond.stream(model.manifest, parts)
    return await respond.once(model.manifest, await _reconstruct(request, model, images))


async def _reconstruct(request: Request, model: Model, upload: Upload) -> Members:
    """Return the members of the answer for some or all of its images."""
    spec, waits = model.manifest.image, upload.first > 0
    images = await encoding.fit(request, model, upload)
    encoded = await encoding.encode(request, model, images, counts_for_drift=False, waits=waits)
    inputs = {"latents": encoded["latents"]}
    decoded = await model.run("decode", inputs, deadline_s(request), waits=waits)
    distances = await asyncio.to_thread(_compare, images, decoded["images"], spec)
    return {"images": OutputImages(decoded["images"], spec), **distances}


def _compare(given: NDArray[np.float32], returned: NDArray[np.float32], spec: ImageSpec) -> Members:
    given, returned = to_unit_range(given, spec), to_unit_range(returned, spec)
    return {
        "mse": image_metrics.mse(given, returned),
        "psnr": image_metrics.psnr(given, returned),
        "ssim": image_metrics.ssim(given, returned),
    }
