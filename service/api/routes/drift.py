"""Whether live images still look like the training data: /models/{name}/drift."""

from __future__ import annotations

from fastapi import Request, Response

from service.api import openapi, responses
from service.api.dependencies import drift, repository, windows
from service.api.responder import json_response
from service.api.routes.models import NAME
from service.errors import OperationNotOffered, QueueFull, UnknownModel
from service.http.fast_path import raw_router

router = raw_router("models")


@router.get(
    "/models/{name}/drift",
    summary="Compare live images with the training data",
    openapi_extra={
        **openapi.get(responses.DriftResponse, UnknownModel, OperationNotOffered, QueueFull),
        "parameters": [NAME],
    },
)
async def show_drift(request: Request) -> Response:
    """Return the divergences of /compare between the newest latents of all workers and those of training.

    Off unless the service was started with a `drift_rows`. /metrics has the same as gauges.
    """
    model = repository(request).get(request.path_params["name"], "neighbours")
    if not windows(request).rows:
        raise OperationNotOffered("Drift is off; start the service with LATENT_DRIFT_ROWS=500 or so.")
    found = await drift(request).measure(model)
    manifest = model.manifest
    return json_response(request, {"model": manifest.name, "version": manifest.version, **found})
