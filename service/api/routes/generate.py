"""Pictures out of nothing but seeds: /generate."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from service.api import generation, openapi, rendering, request_bodies, responses, streaming
from service.api.dependencies import deadline_s, repository, settings
from service.api.generation import Plan
from service.api.rendering import Pictures
from service.api.requests import GenerateRequest
from service.http.content_negotiation import NDJSON
from service.http.fast_path import raw_router
from service.inference.model import Model
from service.latent_space import latents

router = raw_router("latent space")


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
    `null_label`, that asks for an image of whatever class. As `application/x-ndjson` the images come one a
    line, as they are drawn, and may be many more.
    """
    kind = rendering.negotiate(request, rendering.OF_PICTURES)
    body = await request_bodies.read_json(request, GenerateRequest)
    is_stream = kind.media_type == NDJSON
    limit = settings(request).max_stream_images if is_stream else settings(request).max_count
    request_bodies.check_count(body.size, limit, "count" if body.labels is None else "labels")
    model = repository(request).get(body.model, "generate")

    async def draw(planned: Plan) -> dict[str, Any]:
        return await _draw(request, model, body, planned)

    if is_stream:
        parts = generation.parts(body, model.manifest, streaming.step_images(model.manifest.image))
        return streaming.Stream(request, model.manifest, parts, draw)
    planned = generation.plan(body, model.manifest)
    return await rendering.render(request, kind, model.manifest, await draw(planned))


async def _draw(request: Request, model: Model, body: GenerateRequest, planned: Plan) -> dict[str, Any]:
    """Return the members of the answer, for some or all of its images."""
    inputs, drawn = planned.inputs, {}
    if body.return_latents:
        codes = planned.latents.materialize([planned.latents])
        inputs = inputs | {"latents": codes}
        drawn = {"latents": latents.flat(codes), "shape": list(codes.shape[1:])}
    outputs = await model.run("generate", inputs, deadline_s(request))
    members: dict[str, Any] = {"images": Pictures(outputs["images"], model.manifest.image)}
    members["seeds"] = planned.seeds
    if planned.labels is not None:
        members["labels"] = planned.labels
    return members | drawn
