"""Out of the latent space: /decode."""

from __future__ import annotations

from fastapi import Request, Response

from service.api import examples, openapi, rendering, request_bodies, responses
from service.api.dependencies import deadline_s, repository, settings
from service.api.payload import OutputImages
from service.api.requests import DecodeRequest, Options
from service.api.responder import Responder
from service.http.fast_path import raw_router
from service.latent_space import latents

router = raw_router("latent space")


@router.post(
    "/decode",
    summary="Make images of latents",
    openapi_extra=openapi.post(
        DecodeRequest,
        responses.DecodeResponse,
        {"latents": examples.latents()},
        latents=Options,
    ),
)
async def decode(request: Request) -> Response:
    """Return one image per latent, each latent a flat row of numbers.

    For a model whose images have any size, `shape` says how large the image is to be.
    """
    respond = Responder(request, rendering.OF_IMAGES)
    options, rows, given = await request_bodies.read_latents(request)
    model = repository(request).get(options.model, "decode")
    most = settings(request).max_image_pixels
    shape = latents.shape(model.manifest, given, most, ("body", "shape"))
    outputs = await model.run("decode", {"latents": latents.tensor(rows, shape)}, deadline_s(request))
    members = {"images": OutputImages(outputs["images"], model.manifest.image)}
    return await respond.once(model.manifest, members)
