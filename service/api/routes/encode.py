"""Into the latent space: /encode."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import encoding, examples, image_bodies, openapi, rendering, responses
from service.api.dependencies import deadline_s, repository
from service.api.image_lines import ImageLines
from service.api.payload import Members
from service.api.requests import EncodeOptions, EncodeRequest
from service.api.responder import Responder
from service.api.uploads import Upload
from service.http.fast_path import raw_router
from service.inference.model import Model
from service.latent_space import image_metrics, latents, seeds
from service.latent_space.image_metrics import to_unit_range

router = raw_router("latent space")


@router.post(
    "/encode",
    summary="Find the latents of images",
    openapi_extra=openapi.post(
        EncodeRequest,
        responses.EncodeResponse,
        {"images": [examples.boot_base64()]},
        images=EncodeOptions,
        offered=rendering.OF_LATENTS,
    ),
)
async def encode(request: Request) -> Response:
    """Return one latent per image: the posterior mean, or with `sample` a draw from the posterior.

    Images of any size and colour are turned upright and fitted to the model.
    """
    respond = Responder(request, rendering.OF_LATENTS)
    options, images = await image_bodies.read_images(request, EncodeOptions, EncodeRequest)
    model = repository(request).get(options.model, "encode")
    if options.typicality:
        model.need_reference(", so no typicality")
    asked = _Encode(request, model, options, seeds.first(options.seed, 1))
    if isinstance(images, ImageLines):
        parts = (await _encode(asked, part) async for part in images.uploads(model.manifest))
        return respond.stream(model.manifest, parts)
    return await respond.once(model.manifest, await _encode(asked, images))


class _Encode(NamedTuple):
    """What is asked of `/encode` besides its images."""

    request: Request
    model: Model
    options: EncodeOptions
    seed: int
    """Of the first image, where latents are drawn."""


async def _encode(asked: _Encode, upload: Upload) -> Members:
    """Return the members of the answer for some or all of its images."""
    request, model, options, seed = asked
    images = await encoding.fit(request, model, upload)
    outputs = await encoding.encode(request, model, images, counts_for_drift=True, waits=upload.first > 0)
    found, drawn = outputs["latents"], {}
    if options.sample:
        drawn["seeds"] = seeds.spread(seed + upload.first, len(found))
        found = encoding.draw(outputs, drawn["seeds"], model.manifest)
    members: Members = {"latents": latents.flat(found), "shape": list(found.shape[1:]), **drawn}
    if options.typicality and model.reference:
        errors = await _errors(asked, images, outputs["latents"])
        members["typicality"] = model.reference.typicality(latents.flat(outputs["latents"]), errors)
    return members


async def _errors(
    asked: _Encode, images: NDArray[np.float32], means: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Return the mean squared error of each image decoded again; None where the model does not decode."""
    model, spec = asked.model, asked.model.manifest.image
    if "decode" not in model.manifest.offers():
        return None
    decoded = await model.run("decode", {"latents": means}, deadline_s(asked.request))
    errors = image_metrics.mse(to_unit_range(images, spec), to_unit_range(decoded["images"], spec))
    return errors.astype(np.float32)
