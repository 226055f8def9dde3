"""Pictures out of nothing but seeds: /generate."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service import answers, bodies, labels, latents, openapi, responses, sampling, seeds
from service.answers import Pictures
from service.errors import InvalidField
from service.manifest import Manifest
from service.routes.plain import router as plain_router
from service.sampling import Draw
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
    latent = latents.spec(model.manifest)
    drawn = seeds.spread(body.seed, body.size)
    classes = _class_indices(body, model.manifest, drawn)
    members: dict[str, Any] = {"seeds": drawn}
    inputs: dict[str, Draw | NDArray[Any]] = {"latents": Draw(drawn, latent, body.truncation)}
    if classes is not None and model.manifest.labels:
        inputs["labels"] = classes
        members["labels"] = [model.manifest.labels[i] for i in classes]
    if body.return_latents:
        codes = sampling.noise(drawn, latent, body.truncation)
        inputs["latents"] = codes
        members |= {"latents": latents.flat(codes), "shape": list(latent.shape)}
    outputs = await model.run("generate", inputs, deadline_s(request))
    pictures = Pictures(outputs["images"], model.manifest.image)
    return await answers.write(request, kind, model.manifest, {"images": pictures, **members})


def _class_indices(body: GenerateRequest, model: Manifest, drawn: list[int]) -> NDArray[np.int64] | None:
    """Return the class of each image, as asked for or else drawn; None for a model without classes."""
    if model.classes is None or model.labels is None:
        if body.label is not None or body.labels is not None:
            field = "label" if body.labels is None else "labels"
            raise InvalidField.at(("body", field), f"{model.name} has no classes; leave it out")
        return None
    if body.labels is not None:
        found = [labels.index(one, model.labels, ("body", "labels", i)) for i, one in enumerate(body.labels)]
        return np.array(found, np.int64)
    if body.label is not None:
        return np.full(body.size, labels.index(body.label, model.labels, ("body", "label")), np.int64)
    return sampling.labels(drawn, len(model.classes))
