"""Whether two sets of images differ, or one from what a model was trained on: /compare."""

from __future__ import annotations

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import encoding, examples, openapi, request_bodies, responses
from service.api.dependencies import comparer, repository, settings
from service.api.requests import CompareRequest
from service.api.responder import Responder
from service.api.uploads import Upload
from service.comparison.comparer import sample
from service.errors import InvalidField
from service.http.content_negotiation import JSON
from service.http.fast_path import raw_router
from service.inference.model import Model

router = raw_router("latent space")


@router.post(
    "/compare",
    summary="Tell two sets of images apart",
    openapi_extra=openapi.post(
        CompareRequest,
        responses.CompareResponse,
        {"a": [examples.boot_base64()] * 2},
        offered=(JSON,),
    ),
)
async def compare(request: Request) -> Response:
    """Return four divergences between the latents of two sets of images, or of one and the training data.

    Each comes with the probability of as much by chance, from 1,000 permutations. `mmd_power` is how often
    two sets as large would be told apart at p < 0.05, were the difference as large as it seems here.
    """
    respond = Responder(request, (JSON,))
    body = await request_bodies.read_json(request, CompareRequest)
    model = repository(request).get(body.model, "encode")
    first = await _latents(request, model, body.a, "a")
    if body.b is not None:
        second = await _latents(request, model, body.b, "b")
    else:
        second = sample(model.need_reference(" to compare with; give b"))
    if first.shape[1] != second.shape[1]:
        raise InvalidField.at(("body", "b"), "for this model the images of a and b must be of one size")
    found = await comparer(request).run(first, second)
    space = f"latent means of {model.manifest.name}"
    members = {"space": space, "n": [len(first), len(second)], **found}
    return await respond.once(model.manifest, members)


async def _latents(request: Request, model: Model, images: list[str], field: str) -> NDArray[np.float32]:
    request_bodies.check_count(len(images), settings(request).max_images, field)
    upload = Upload(images, [("body", field, i) for i in range(len(images))])
    return await encoding.latent_rows(request, model, upload, counts_for_drift=False)
