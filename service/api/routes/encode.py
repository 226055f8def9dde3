"""Into the latent space and out of it: /encode, /decode, /reconstruct."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import encoding, examples, openapi, rendering, request_bodies, requests, responses, streaming
from service.api.dependencies import deadline_s, repository, settings
from service.api.rendering import Pictures
from service.api.uploads import Upload
from service.checkpoint.manifest import ImageSpec
from service.http.fast_path import raw_router
from service.inference.model import Model
from service.latent_space import image_metrics, latents, seeds

router = raw_router("latent space")


@router.post(
    "/encode",
    summary="Find the latents of pictures",
    openapi_extra=openapi.post(
        requests.EncodeRequest,
        responses.EncodeResponse,
        {"images": [examples.boot_base64()]},
        pictures=requests.EncodeOptions,
        offered=rendering.OF_LATENTS,
    ),
)
async def encode(request: Request) -> Response:
    """Return one latent per picture: the posterior mean, or with `sample` a draw from the posterior.

    Pictures of any size and colour are turned upright and fitted to the model.
    """
    kind = rendering.negotiate(request, rendering.OF_LATENTS)
    options, pictures = await request_bodies.read_pictures(
        request, requests.EncodeOptions, requests.EncodeRequest
    )
    model = repository(request).get(options.model, "encode")
    reference = model.need_reference(", so no typicality") if options.typicality else None
    seed = seeds.first(options.seed, 1)

    async def find(upload: Upload) -> dict[str, Any]:
        given = await upload.tensor(model.manifest.image, settings(request).max_image_pixels)
        outputs = await encoding.encode(request, model, given, deadline_s(request))
        codes, drawn = outputs["latents"], {}
        if options.sample:
            drawn["seeds"] = seeds.spread(seed + upload.first, len(codes))
            codes = encoding.draw(outputs, drawn["seeds"], model.manifest)
        members = {"latents": latents.flat(codes), "shape": list(codes.shape[1:]), **drawn}
        if reference:
            errors = await _errors(request, model, given, outputs["latents"])
            members["typicality"] = reference.typicality(latents.flat(outputs["latents"]), errors)
        return members

    return await streaming.answer(request, kind, model.manifest, pictures, find)


async def _errors(
    request: Request, model: Model, pictures: NDArray[np.float32], codes: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Return the mean squared error of each picture decoded again; None where the model does not decode."""
    if "decode" not in model.manifest.offers():
        return None
    decoded = await model.run("decode", {"latents": codes}, deadline_s(request))
    spec = model.manifest.image
    errors = image_metrics.mse(
        image_metrics.to_unit_range(pictures, spec), image_metrics.to_unit_range(decoded["images"], spec)
    )
    return errors.astype(np.float32)


@router.post(
    "/decode",
    summary="Make pictures of latents",
    openapi_extra=openapi.post(
        requests.DecodeRequest,
        responses.DecodeResponse,
        {"latents": examples.latents()},
        latents=requests.DecodeOptions,
    ),
)
async def decode(request: Request) -> Response:
    """Return one picture per latent, each latent a flat row of numbers.

    For a model whose images have any size, `shape` says how large the picture is to be.
    """
    kind = rendering.negotiate(request, rendering.OF_PICTURES)
    options, rows, given = await request_bodies.read_latents(request)
    model = repository(request).get(options.model, "decode")
    most = settings(request).max_image_pixels
    shape = latents.shape(model.manifest, given, most, ("body", "shape"))
    codes = latents.tensor(rows, shape)
    outputs = await model.run("decode", {"latents": codes}, deadline_s(request))
    members = {"images": Pictures(outputs["images"], model.manifest.image)}
    return await rendering.render(request, kind, model.manifest, members)


@router.post(
    "/reconstruct",
    summary="Encode pictures and decode them again",
    openapi_extra=openapi.post(
        requests.ReconstructRequest,
        responses.ReconstructResponse,
        {"images": [examples.boot_base64()]},
        pictures=requests.ReconstructOptions,
    ),
)
async def reconstruct(request: Request) -> Response:
    """Return each picture as the model gives it back, and how far that is from the picture as it was fitted.

    The distances are on the scale [0, 1], before the answer's pictures are rounded to 8 bits.
    """
    kind = rendering.negotiate(request, rendering.OF_PICTURES)
    options, pictures = await request_bodies.read_pictures(
        request, requests.ReconstructOptions, requests.ReconstructRequest
    )
    model = repository(request).get(options.model, "reconstruct")
    spec = model.manifest.image

    async def repeat(upload: Upload) -> dict[str, Any]:
        given = await upload.tensor(spec, settings(request).max_image_pixels)
        encoded = await model.run("encode", {"images": given}, deadline_s(request))
        decoded = await model.run("decode", {"latents": encoded["latents"]}, deadline_s(request))
        distances = await asyncio.to_thread(_compare, given, decoded["images"], spec)
        return {"images": Pictures(decoded["images"], spec), **distances}

    return await streaming.answer(request, kind, model.manifest, pictures, repeat)


def _compare(given: NDArray[np.float32], returned: NDArray[np.float32], spec: ImageSpec) -> dict[str, Any]:
    given, returned = image_metrics.to_unit_range(given, spec), image_metrics.to_unit_range(returned, spec)
    return {
        "mse": image_metrics.mse(given, returned),
        "psnr": image_metrics.psnr(given, returned),
        "ssim": image_metrics.ssim(given, returned),
    }
