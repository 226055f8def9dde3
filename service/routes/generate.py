"""Pictures out of nothing but seeds: /generate."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service import answers, bodies, generation, latents, openapi, responses
from service.answers import Pictures
from service.routes.plain import router as plain_router
from service.schemas import GenerateRequest
from service.state import deadline_s, repository, settings

router = plain_router("latent space")


@router.post(
    "/generate",
    summary="Draw pictures",
    openapi_extra=openapi.post(
        GenerateRequest,
        responses.GenerateResponse,
        {"label": "Ankle boot", "count": 4, "seed": 7},
    ),
)
async def generate(request: Request) -> Response:
    """Return pictures drawn from the prior. Image i has the seed `seed + i` and can be drawn again from it.

    A model with classes that is given no label draws labels from the seeds and reports them. Where it lists a
    `null_label`, that asks for an image of whatever class.
    """
    kind = answers.media_type(request, answers.OF_PICTURES)
    body = await bodies.read_json(request, GenerateRequest)
    field = "count" if body.labels is None else "labels"
    bodies.check_count(body.size, settings(request).max_count, field)
    model = repository(request).get(body.model, "generate")
    planned = generation.plan(body, model.manifest)
    outputs = await model.run("generate", planned.inputs, deadline_s(request))
    pictures = Pictures(outputs["images"], model.manifest.image)
    members: dict[str, Any] = {"images": pictures, "seeds": planned.seeds}
    if planned.labels is not None:
        members["labels"] = planned.labels
    if body.return_latents:
        codes = cast(NDArray[np.float32], planned.inputs["latents"])
        members |= {"latents": latents.flat(codes), "shape": list(codes.shape[1:])}
    return await answers.write(request, kind, model.manifest, members)
