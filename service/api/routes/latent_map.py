"""Where training images lie in latent space, on a plane: /models/{name}/map and its images."""

from __future__ import annotations

import asyncio
import math

from fastapi import Request, Response

from service.api import openapi, responses
from service.api.dependencies import repository
from service.api.responder import json_response
from service.api.routes.models import NAME
from service.checkpoint.reference import Reference
from service.errors import OperationNotOffered, UnknownModel
from service.http.fast_path import raw_router
from service.inference.model import Model
from service.media import images

router = raw_router("models")


@router.get(
    "/models/{name}/map",
    summary="Show where training images lie",
    openapi_extra={
        **openapi.get(responses.MapResponse, UnknownModel, OperationNotOffered),
        "parameters": [NAME],
    },
)
async def show_map(request: Request) -> Response:
    """Return training images as points on a plane through latent space, with their classes.

    A latent of two numbers is its own point; of longer ones the plane is that of most variance. A point
    (x, y) stands for the latent `centre + x axes[0] + y axes[1]`, which /decode makes an image of, and a
    latent z lies at `axes (z - centre)`.
    """
    model, reference = _mapped(request)
    height, width = reference.thumbnails.shape[1:3]
    return json_response(
        request,
        {
            "model": model.manifest.name,
            "version": model.manifest.version,
            "points": reference.positions(reference.latents),
            "labels": reference.labels,
            "classes": reference.classes,
            "centre": reference.centre,
            "axes": reference.axes,
            "width": width,
            "height": height,
            "columns": math.ceil(math.sqrt(len(reference.labels))),
        },
    )


@router.get(
    "/models/{name}/map/thumbnails",
    summary="Show the images of the map",
    openapi_extra={**openapi.get_image(UnknownModel, OperationNotOffered), "parameters": [NAME]},
)
async def show_thumbnails(request: Request) -> Response:
    """Return one sheet of all the map's images, small, row by row in the order of its points."""
    _, reference = _mapped(request)
    sheet = await asyncio.to_thread(_sheet, reference)
    return Response(sheet, headers={"x-content-type-options": "nosniff"}, media_type="image/png")


def _mapped(request: Request) -> tuple[Model, Reference]:
    """Return the model that the path names, and its reference.

    Raises:
        UnknownModel: there is none.
        OperationNotOffered: it has no reference.
    """
    model = repository(request).get(request.path_params["name"], "neighbours")
    return model, model.need_reference(", so it has no map")


def _sheet(reference: Reference) -> bytes:
    return images.encode(images.grid(reference.thumbnails), "png")
