"""Pictures carried over to another domain: /translate."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import examples, openapi, rendering, request_bodies, responses, streaming, translation
from service.api.dependencies import deadline_s, repository, settings
from service.api.rendering import Pictures
from service.api.requests import TranslateOptions, TranslateRequest
from service.api.uploads import Upload
from service.checkpoint.manifest import ImageSpec
from service.http.fast_path import raw_router
from service.latent_space import image_metrics

router = raw_router("translation")


@router.post(
    "/translate",
    summary="Carry pictures over to another domain",
    openapi_extra=openapi.post(
        TranslateRequest,
        responses.TranslateResponse,
        {"images": [examples.boot_base64()], "to": "bags", "cycle": True},
        pictures=TranslateOptions,
    ),
)
async def translate(request: Request) -> Response:
    """Return each picture in the domain `to`; with `cycle`, also back again and how far that is from it.

    Without `model`, `to` selects among the models that translate to that domain.
    """
    kind = rendering.negotiate(request, rendering.OF_PICTURES)
    options, pictures = await request_bodies.read_pictures(request, TranslateOptions, TranslateRequest)
    model = translation.choose(repository(request), options)
    to, source = translation.domains(model.manifest, options)
    spec = model.manifest.image

    async def carry_over(upload: Upload) -> dict[str, Any]:
        given = await upload.tensor(spec, settings(request).max_image_pixels)
        outputs = await model.run(f"translate.{to}", {"images": given}, deadline_s(request))
        there = outputs["translated"]
        members: dict[str, Any] = {"images": Pictures(there, spec), "from": source, "to": to}
        if options.cycle:
            outputs = await model.run(f"translate.{source}", {"images": there}, deadline_s(request))
            back = outputs["translated"]
            distance = await asyncio.to_thread(_l1, given, back, spec)
            members["cycle"] = {"images": Pictures(back, spec), "l1": distance}
        return members

    return await streaming.answer(request, kind, model.manifest, pictures, carry_over)


def _l1(given: NDArray[np.float32], back: NDArray[np.float32], spec: ImageSpec) -> NDArray[np.float32]:
    """Return the mean absolute difference of each pair, on the scale [0, 1]."""
    distance: NDArray[np.float32] = np.abs(
        image_metrics.to_unit_range(given, spec) - image_metrics.to_unit_range(back, spec)
    ).mean(axis=(1, 2, 3))
    return distance
