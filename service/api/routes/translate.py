"""Images carried over to another domain: /translate."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import encoding, examples, image_bodies, openapi, rendering, responses, translation
from service.api.dependencies import deadline_s, repository
from service.api.image_lines import ImageLines
from service.api.payload import Members, OutputImages
from service.api.requests import TranslateOptions, TranslateRequest
from service.api.responder import Responder
from service.api.uploads import Upload
from service.checkpoint.manifest import ImageSpec
from service.http.fast_path import raw_router
from service.inference.model import Model
from service.latent_space.image_metrics import to_unit_range

router = raw_router("translation")


@router.post(
    "/translate",
    summary="Carry images over to another domain",
    openapi_extra=openapi.post(
        TranslateRequest,
        responses.TranslateResponse,
        {"images": [examples.boot_base64()], "to": "bags", "cycle": True},
        images=TranslateOptions,
    ),
)
async def translate(request: Request) -> Response:
    """Return each image in the domain `to`; with `cycle`, also back again and how far that is from it.

    Without `model`, `to` selects among the models that translate to that domain.
    """
    respond = Responder(request, rendering.OF_IMAGES)
    options, images = await image_bodies.read_images(request, TranslateOptions, TranslateRequest)
    model = translation.choose(repository(request), options)
    asked = _Translate(request, model, *translation.domains(model.manifest, options), options.cycle)
    if isinstance(images, ImageLines):
        parts = (await _translate(asked, part) async for part in images.uploads(model.manifest))
        return respond.stream(model.manifest, parts)
    return await respond.once(model.manifest, await _translate(asked, images))


class _Translate(NamedTuple):
    """What is asked of `/translate` besides its images."""

    request: Request
    model: Model
    to: str
    source: str
    cycle: bool

    async def run(self, images: NDArray[np.float32], to: str, *, waits: bool) -> NDArray[np.float32]:
        """Return images in the domain `to`."""
        outputs = await self.model.run(
            f"translate.{to}", {"images": images}, deadline_s(self.request), waits=waits
        )
        return outputs["translated"]


async def _translate(asked: _Translate, upload: Upload) -> Members:
    """Return the members of the answer for some or all of its images."""
    spec, waits = asked.model.manifest.image, upload.first > 0
    images = await encoding.fit(asked.request, asked.model, upload)
    there = await asked.run(images, asked.to, waits=waits)
    members: Members = {"images": OutputImages(there, spec), "from": asked.source, "to": asked.to}
    if asked.cycle:
        back = await asked.run(there, asked.source, waits=waits)
        distance = await asyncio.to_thread(_l1, images, back, spec)
        members["cycle"] = {"images": OutputImages(back, spec), "l1": distance}
    return members


def _l1(given: NDArray[np.float32], back: NDArray[np.float32], spec: ImageSpec) -> NDArray[np.float32]:
    """Return the mean absolute difference of each pair, on the scale [0, 1]."""
    difference = np.abs(to_unit_range(given, spec) - to_unit_range(back, spec))
    distance: NDArray[np.float32] = difference.mean(axis=(1, 2, 3))
    return distance
