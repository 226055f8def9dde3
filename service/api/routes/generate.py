"""Images out of nothing but seeds: /generate."""

from __future__ import annotations

from fastapi import Request, Response

from service.api import generation, openapi, rendering, request_bodies, responses
from service.api.dependencies import deadline_s, repository, settings
from service.api.generation import Plan
from service.api.image_lines import step_images
from service.api.payload import Members, OutputImages
from service.api.requests import GenerateRequest
from service.api.responder import Responder
from service.http.fast_path import raw_router
from service.inference.model import Model
from service.latent_space import latents

router = raw_router("latent space")


@router.post(
    "/generate",
    summary="Draw images",
    openapi_extra=openapi.post(
        GenerateRequest,
        responses.GenerateResponse,
        {"label": "Ankle boot", "count": 4, "seed": 7},
    ),
)
async def generate(request: Request) -> Response:
    """Return images drawn from the prior. Image i has the seed `seed + i` and can be drawn again from it.

    A model with classes that is given no label draws labels from the seeds and reports them. Where it lists a
    `null_label`, that asks for an image of whatever class. As `application/x-ndjson` the images come one a
    line, as they are drawn, and may be many more.
    """
    respond = Responder(request, rendering.OF_IMAGES)
    body = await request_bodies.read_json(request, GenerateRequest)
    limit = settings(request).max_stream_images if respond.streams else settings(request).max_count
    request_bodies.check_count(body.size, limit, "count" if body.labels is None else "labels")
    model = repository(request).get(body.model, "generate")
    if respond.streams:
        plans = generation.parts(body, model.manifest, step_images(model.manifest.image))
        return respond.stream(model.manifest, (await _draw(request, model, body, plan) for plan in plans))
    plan = generation.plan(body, model.manifest)
    return await respond.once(model.manifest, await _draw(request, model, body, plan))


async def _draw(request: Request, model: Model, body: GenerateRequest, plan: Plan) -> Members:
    """Return the members of the answer for some or all of its images."""
    inputs, drawn = plan.inputs, {}
    if body.return_latents:
        noise = plan.latents.materialize([plan.latents])
        inputs = inputs | {"latents": noise}
        drawn = {"latents": latents.flat(noise), "shape": list(noise.shape[1:])}
    outputs = await model.run("generate", inputs, deadline_s(request), waits=plan.first > 0)
    members: Members = {"images": OutputImages(outputs["images"], model.manifest.image)}
    members["seeds"] = plan.seeds
    if plan.labels is not None:
        members["labels"] = plan.labels
    return members | drawn
