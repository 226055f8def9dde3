"""Whether to send requests here, and how they fare: /health/live, /health/ready, /metrics."""

from __future__ import annotations

from fastapi import Request, Response

from service.api import openapi, responses
from service.api.compression import CompressedResponse
from service.api.dependencies import drain, repository
from service.api.responder import json_response
from service.errors import NotReady
from service.http.fast_path import raw_router
from service.observability.metrics import metrics_response

router = raw_router("health")


@router.get(
    "/health/live",
    summary="Is the process alive?",
    openapi_extra=openapi.get(responses.LiveResponse),
)
async def live(request: Request) -> Response:
    """Answer as long as the event loop turns; restart the process when this stays silent."""
    return json_response(request, {"status": "live"})


@router.get(
    "/health/ready",
    summary="Should requests be sent here?",
    openapi_extra=openapi.get(responses.ReadyResponse, NotReady),
)
async def ready(request: Request) -> Response:
    """Answer 200 while a model is served and the process is not on its way out, else 503."""
    check_ready(request)
    listing = repository(request).now().listing()
    names = {state: [one.name for one in listing if one.state == state] for state in ("serving", "refused")}
    return json_response(request, {"status": "ready", **names})


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    openapi_extra={
        "responses": {
            "200": {
                "description": "All workers' metrics, in Prometheus's text format.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            **openapi.problems(openapi.ALWAYS),
        }
    },
)
async def metrics(_: Request) -> Response:
    """Return counts and times of requests, batches and refusals, summed over the workers."""
    content, media_type = metrics_response()
    return CompressedResponse(content, headers={"content-type": media_type})


def check_ready(request: Request) -> None:
    """Let a request pass that may be answered here.

    Raises:
        NotReady: the process is on its way out, or no checkpoint serves.
    """
    if drain(request).active:
        raise NotReady("The process is about to stop; send requests elsewhere.")
    if not repository(request).ready():
        raise NotReady("No checkpoint is being served; GET /models says why.")
