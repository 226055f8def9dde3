"""Which training images lie nearest: /neighbours."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import encoding, examples, openapi, request_bodies, responses
from service.api.dependencies import repository, settings
from service.api.requests import NeighboursRequest
from service.api.responder import Responder
from service.api.uploads import Upload
from service.checkpoint.reference import Reference
from service.http.content_negotiation import JSON
from service.http.fast_path import raw_router
from service.inference.model import Model
from service.latent_space import latents
from service.media import images

router = raw_router("latent space")


@router.post(
    "/neighbours",
    summary="Find training images like an image",
    openapi_extra=openapi.post(
        NeighboursRequest,
        responses.NeighboursResponse,
        {"images": [examples.boot_base64()], "count": 3},
        offered=(JSON,),
    ),
)
async def neighbours(request: Request) -> Response:
    """Return the training images whose latents are nearest to each image's, out of some thousands.

    `points` says where each image lies on the map of `GET /models/{name}/map`.
    """
    respond = Responder(request, (JSON,))
    body = await request_bodies.read_json(request, NeighboursRequest)
    model = repository(request).get(body.model, "neighbours")
    reference = model.need_reference(", so it does not offer neighbours")
    rows = await _latents(request, model, body)
    found = await asyncio.to_thread(_found, reference, rows, body.count)
    members = {"neighbours": found, "points": reference.positions(rows)}
    return await respond.once(model.manifest, members)


async def _latents(request: Request, model: Model, body: NeighboursRequest) -> NDArray[np.float32]:
    """Return the latents to look around, (N, D)."""
    field = "latents" if body.images is None else "images"
    request_bodies.check_count(len(body.images or body.latents or ()), settings(request).max_images, field)
    if body.images is None:
        return latents.flat(latents.tensor(body.latents or (), latents.fixed_shape(model.manifest)))
    return await encoding.latent_rows(request, model, Upload(body.images), counts_for_drift=False)


def _found(reference: Reference, rows: NDArray[np.float32], count: int) -> list[list[dict[str, Any]]]:
    indices, distances = reference.nearest(rows, count)
    return [
        [
            {
                "index": index,
                "label": reference.classes[reference.labels[index]],
                "distance": distance,
                "image": base64.b64encode(images.encode(reference.thumbnails[index], "png")).decode(),
            }
            for index, distance in zip(row.tolist(), far.tolist(), strict=True)
        ]
        for row, far in zip(indices, distances, strict=True)
    ]
