"""The routes under /v1: pictures by the name of a class, latents as embeddings, and the models for both."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import orjson
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import encoding, generation, request_bodies
from service.api.dependencies import deadline_s, repository, settings
from service.api.requests import GenerateRequest
from service.api.uploads import Upload
from service.api.validation import parse_known
from service.checkpoint.manifest import ImageSpec, Manifest
from service.errors import InvalidField, UnknownModel
from service.http.fast_path import raw_router
from service.latent_space import labels
from service.media import images
from service.media.images import Format
from service.protocols.openai.messages import EmbeddingsRequest, ImagesRequest

USED = {"encode", "generate"}
"""A model is of use here if it offers one of these."""

MAX_PIXELS = 1 << 23
"""Of all resized pictures of one answer, eight of 1024 x 1024: a few bytes could ask for gigabytes."""

NO_TOKENS = {"prompt_tokens": 0, "total_tokens": 0}

router = raw_router("OpenAI")


@router.post("/v1/images/generations", include_in_schema=False)
async def generate_images(request: Request) -> Response:
    """Return pictures drawn from the prior, of the class that the prompt names.

    An empty prompt has classes drawn as well. Of a model without classes any prompt draws the same.
    """
    body = await request_bodies.parse(ImagesRequest, await request_bodies.read(request))
    count = body.n or 1
    request_bodies.check_count(count, settings(request).max_count, "n")
    _check_size(body, count)
    model = repository(request).get(body.model, "generate")
    asked = {
        "label": _label(body.prompt, model.manifest),
        "count": count,
        "seed": body.seed,
        "truncation": body.truncation,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    drawing = generation.plan(parse_known(GenerateRequest, given, "body"), model.manifest)
    outputs = await model.run("generate", drawing.inputs, deadline_s(request))
    spec, kind = model.manifest.image, body.output_format or "png"
    pixels = images.to_pixels(outputs["images"], spec)
    size = body.size or (pixels.shape[2], pixels.shape[1])
    files = await asyncio.to_thread(_files, pixels, spec, size, kind)
    classes: Sequence[str | None] = drawing.labels or [None] * count
    drawn = zip(files, classes, drawing.seeds, strict=True)
    data = [{"b64_json": file, "revised_prompt": label, "seed": seed} for file, label, seed in drawn]
    shown = f"{size[0]}x{size[1]}"
    return _json({"created": int(time.time()), "data": data, "output_format": kind, "size": shown})


def _check_size(body: ImagesRequest, count: int) -> None:
    """Hold the pixels of all pictures to a limit where a size is asked for.

    Raises:
        InvalidField: there are more.
    """
    width, height = body.size or (0, 0)
    if count * width * height > MAX_PIXELS:
        raise InvalidField.at(
            ("body", "size"), f"n pictures of this size may have at most {MAX_PIXELS} pixels"
        )


def _label(prompt: str, model: Manifest) -> int | None:
    """Return the index of the class that a prompt names, in any case; None where none is named.

    Raises:
        InvalidField: the model has classes, and none of that name; lists them.
    """
    wanted = prompt.strip()
    if model.labels is None or not wanted:
        return None
    found = labels.find(wanted, model.labels)
    if found is None:
        known = ", ".join(model.labels)
        raise InvalidField.at(
            ("body", "prompt"), f"must be the name of a class, or empty for any of them; known are {known}"
        )
    return found


def _files(pixels: NDArray[np.uint8], spec: ImageSpec, size: tuple[int, int], kind: Format) -> list[str]:
    """Return each picture as a base64 file of this width and height."""
    fitted = (images.resize(one, spec, *size) for one in pixels)
    return [base64.b64encode(images.encode(one, kind)).decode() for one in fitted]


@router.post("/v1/embeddings", include_in_schema=False)
async def create_embeddings(request: Request) -> Response:
    """Return the latent of each picture as a flat row of numbers; of a distribution its mean."""
    body = await request_bodies.parse(EmbeddingsRequest, await request_bodies.read(request))
    request_bodies.check_count(len(body.input), settings(request).max_images, "input")
    model = repository(request).get(body.model, "encode")
    places = [("body", "input", i) for i in range(len(body.input))]
    upload = Upload(body.input, places)
    rows = await encoding.latent_rows(request, model, upload, counts_for_drift=True)
    if body.dimensions not in (None, rows.shape[1]):
        raise InvalidField.at(("body", "dimensions"), f"a latent of this model has {rows.shape[1]} numbers")
    written: Iterable[object] = map(_base64, rows) if body.encoding_format == "base64" else rows
    data = [{"object": "embedding", "index": i, "embedding": one} for i, one in enumerate(written)]
    return _json({"object": "list", "data": data, "model": model.manifest.name, "usage": NO_TOKENS})


def _base64(row: NDArray[np.float32]) -> str:
    """Return numbers as base64 of little-endian float32, which that API's clients ask for."""
    return base64.b64encode(row.astype("<f4").tobytes()).decode()


@router.get("/v1/models", include_in_schema=False)
async def list_models(request: Request) -> Response:
    """Return every model that draws pictures or finds latents."""
    return _json({"object": "list", "data": list(_models(request).values())})


@router.get("/v1/models/{model}", include_in_schema=False)
async def show_model(request: Request) -> Response:
    """Return one of these models."""
    found = _models(request)
    shown = found.get(request.path_params["model"])
    if shown is None:
        raise UnknownModel(f"There is no such model here; known are {', '.join(found)}.")
    return _json(shown)


def _models(request: Request) -> dict[str, dict[str, Any]]:
    """Return what is told of the models: by name the newest, by name@version those before it."""
    serving = repository(request).now()
    found = {}
    for status in serving.listing():
        for manifest in (model.manifest for model in serving.versions(status.name)):
            is_newest = manifest.version == status.version
            name = status.name if is_newest else f"{status.name}@{manifest.version}"
            if USED & set(manifest.offers()):
                found[name] = _model(name, manifest)
    return found


def _model(name: str, manifest: Manifest) -> dict[str, Any]:
    """Return what is told of a model: what that API has, and what decides how it can be asked."""
    return {
        "id": name,
        "object": "model",
        "created": 0,  # a checkpoint does not say when it was made
        "owned_by": "latent-service",
        "version": manifest.version,
        "operations": [one for one in manifest.offers() if one in USED],
        "classes": manifest.labels,
    }


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
