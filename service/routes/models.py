"""What is served: /models and /models/{name}."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from service import answers, openapi, responses
from service.errors import UnknownModel
from service.manifest import Manifest
from service.repository import ModelStatus
from service.responses import ImageInfo, LatentInfo, ModelInfo
from service.routes.plain import router as plain_router
from service.state import repository

router = plain_router("models")

NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "Name of the model.",
    "schema": {"type": "string"},
    "example": "fashion-vae",
}


@router.get(
    "/models",
    summary="List the models",
    openapi_extra=openapi.get(responses.ModelsResponse),
)
async def list_models(request: Request) -> Response:
    """Return every checkpoint that was found, those that are refused with the reason."""
    found = [info(status).model_dump() for status in repository(request).listing()]
    return answers.json(request, {"models": found})


@router.get(
    "/models/{name}",
    summary="Show one model",
    openapi_extra={**openapi.get(responses.ModelResponse, UnknownModel), "parameters": [NAME]},
)
async def show_model(request: Request) -> Response:
    """Return one checkpoint: what it offers, in which shapes, and how well it does."""
    listing = {status.name: status for status in repository(request).listing()}
    status = listing.get(request.path_params["name"])
    if status is None:
        raise UnknownModel(f"There is no such model; known are {', '.join(listing)}.")
    return answers.json(request, info(status).model_dump())


def info(status: ModelStatus) -> ModelInfo:
    """Return what is told of a checkpoint."""
    return ModelInfo(
        name=status.name,
        version=status.version,
        versions=list(status.versions),
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
            channels=image.channels, height=image.height, width=image.width, stride=image.stride
        ),
        "latent": LatentInfo(shape=list(latent.shape), prior=latent.prior.kind) if latent else None,
        "classes": list(manifest.classes) if manifest.classes else None,
        "null_label": manifest.null_label,
        "domains": list(manifest.domains) if manifest.domains else None,
        "translations": {to: one.source for to, one in translations.items()} if translations else None,
        "metrics": manifest.metrics,
    }
