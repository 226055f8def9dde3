"""What is served: /models, /models/{name} and its preview."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from service.api import openapi, responses
from service.api.dependencies import repository, settings
from service.api.responder import json_response
from service.api.responses import ImageInfo, LatentInfo, ModelInfo
from service.checkpoint.manifest import Manifest
from service.errors import UnknownModel
from service.http.fast_path import raw_router
from service.repository.catalogue import ModelStatus

router = raw_router("models")

NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "Name of the model, or name@version for one of the versions that serve.",
    "schema": {"type": "string"},
    "example": "fashion-vae",
}


@router.get(
    "/models",
    summary="List the models",
    openapi_extra=openapi.get(responses.ModelsResponse),
)
async def list_models(request: Request) -> Response:
    """Return every checkpoint that was found, those that are refused with the reason, and the limits."""
    found = [info(status).model_dump() for status in repository(request).now().listing()]
    chosen = settings(request)
    limits = {name: getattr(chosen, name) for name in responses.Limits.model_fields}
    return json_response(request, {"models": found, "limits": limits})


@router.get(
    "/models/{name}",
    summary="Show one model",
    openapi_extra={**openapi.get(responses.ModelResponse, UnknownModel), "parameters": [NAME]},
)
async def show_model(request: Request) -> Response:
    """Return one checkpoint: what it offers, in which shapes, and how well it does."""
    return json_response(request, info(_status(request)).model_dump())


@router.get(
    "/models/{name}/preview",
    summary="Show what a model does",
    openapi_extra={**openapi.get_image(UnknownModel), "parameters": [NAME]},
)
async def show_preview(request: Request) -> Response:
    """Return the image that came with the checkpoint: samples, or images before and after."""
    status = _status(request)
    if status.preview is None:
        raise UnknownModel(f"There is no preview of {status.name}.")
    return Response(status.preview, headers={"x-content-type-options": "nosniff"}, media_type="image/png")


def _status(request: Request) -> ModelStatus:
    """Return what is known of the model that the path names.

    Raises:
        UnknownModel: there is none of that name, or that version of it does not serve.
    """
    return repository(request).now().status(request.path_params["name"])


def info(status: ModelStatus) -> ModelInfo:
    """Return what is told of a checkpoint."""
    return ModelInfo(
        name=status.name,
        version=status.version,
        versions=list(status.versions),
        served=list(status.served),
        state=status.state,
        reason=status.reason,
        default_for=list(status.default_for),
        **(_manifest_info(status.manifest) if status.manifest else {}),
    )


def _manifest_info(manifest: Manifest) -> dict[str, Any]:
    image, latent = manifest.image, manifest.latent
    translations = manifest.operations.translate
    return {
        "title": manifest.title,
        "family": manifest.family,
        "licence": manifest.licence,
        "operations": list(manifest.offers()),
        "image": ImageInfo(
            channels=image.channels,
            height=image.height,
            width=image.width,
            stride=image.stride,
            max_pixels=image.max_pixels,
        ),
        "latent": LatentInfo(shape=list(latent.shape), prior=latent.prior.kind) if latent else None,
        "classes": list(manifest.classes) if manifest.classes else None,
        "null_label": manifest.null_label,
        "domains": list(manifest.domains) if manifest.domains else None,
        "translations": {to: one.source for to, one in translations.items()} if translations else None,
        "reference_classes": list(manifest.reference.classes) if manifest.reference else None,
        "metrics": manifest.metrics,
    }
