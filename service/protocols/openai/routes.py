"""The routes under /v1: images drawn, translated and varied, latents as embeddings, and their models."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import encoding, generation, request_bodies, translation
from service.api.compression import CompressedResponse
from service.api.dependencies import deadline_s, repository, settings
from service.api.requests import GenerateRequest, TranslateOptions
from service.api.uploads import Upload
from service.api.validation import parse_known
from service.checkpoint.manifest import Manifest
from service.errors import InvalidField, UnknownModel
from service.http.fast_path import raw_router
from service.inference.model import Model
from service.latent_space import labels, seeds
from service.protocols.openai import image_answers, image_forms
from service.protocols.openai.image_answers import Columns
from service.protocols.openai.messages import (
    EditRequest,
    EmbeddingsRequest,
    ImagesRequest,
    VariationRequest,
)
from service.repository.repository import Repository

USED = {"encode", "generate", "translate"}
"""A model is of use here if it offers one of these."""

NO_TOKENS = {"prompt_tokens": 0, "total_tokens": 0}

router = raw_router("OpenAI")


@router.post("/v1/images/generations", include_in_schema=False)
async def generate_images(request: Request) -> Response:
    """Return images drawn from the prior, of the class that the prompt names.

    An empty prompt has classes drawn as well. Of a model without classes any prompt draws the same.
    """
    body = await request_bodies.parse(ImagesRequest, await request_bodies.read(request))
    count = body.n or 1
    request_bodies.check_count(count, settings(request).max_count, "n")
    image_answers.check_size(body, count)
    model = repository(request).get(body.model, "generate")
    asked = {
        "label": _label(body.prompt, model.manifest),
        "count": count,
        "seed": body.seed,
        "truncation": body.truncation,
    }
    drawing = generation.plan(parse_known(GenerateRequest, _given(asked), "body"), model.manifest)
    outputs = await model.run("generate", drawing.inputs, deadline_s(request))
    members: Columns = {"revised_prompt": drawing.labels or [None] * count, "seed": drawing.seeds}
    return await image_answers.answer(body, model.manifest.image, outputs["images"], members)


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


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


@router.post("/v1/images/edits", include_in_schema=False)
async def edit_images(request: Request) -> Response:
    """Return each image carried over to the domain that the prompt names.

    Of a model that translates to one domain only, any prompt asks for that one.
    """
    body, upload = await image_forms.read(request, EditRequest)
    if body.n not in (None, 1):
        raise InvalidField.at(("form", "n"), "must be 1: an image has one translation")
    image_answers.check_size(body, upload.count)
    model, to = _translation(repository(request), body)
    images = await encoding.fit(request, model, upload)
    outputs = await model.run(f"translate.{to}", {"images": images}, deadline_s(request))
    members = {"revised_prompt": [to] * len(images)}
    return await image_answers.answer(body, model.manifest.image, outputs["translated"], members)


def _translation(models: Repository, body: EditRequest) -> tuple[Model, str]:
    """Return the model to translate with, and the domain to translate to.

    Raises:
        InvalidField: the prompt is not a domain, and there are several; lists them.
    """
    known = sorted(translation.known_domains(models))
    found = labels.find(body.prompt.strip(), known)
    asked = {"model": body.model, "to": None if found is None else known[found]}
    options = parse_known(TranslateOptions, _given(asked), "form")
    model = translation.choose(models, options, "prompt")
    return model, translation.domains(model.manifest, options, field="prompt")[0]


@router.post("/v1/images/variations", include_in_schema=False)
async def vary_image(request: Request) -> Response:
    """Return images decoded from draws near the latent of one image.

    A model that gives one latent, not a distribution, gives the image as it reconstructs it.
    """
    body, upload = await image_forms.read(request, VariationRequest)
    if upload.count > 1:
        raise InvalidField.at(("form", "image"), "one image at a time is varied")
    count = body.n or 1
    request_bodies.check_count(count, settings(request).max_count, "n")
    image_answers.check_size(body, count)
    model = repository(request).get(body.model, "reconstruct")
    images = await encoding.fit(request, model, upload)
    image_answers.check_pixels(count, *images.shape[2:], field="n")
    encoded = await encoding.encode(request, model, images, counts_for_drift=False)
    near, drawn = _near(encoded, body, count, model.manifest)
    decoded = await model.run("decode", {"latents": near}, deadline_s(request))
    members: Columns = {"revised_prompt": [None] * count, "seed": drawn or [None] * count}
    return await image_answers.answer(body, model.manifest.image, decoded["images"], members)


def _near(
    encoded: dict[str, NDArray[Any]], body: VariationRequest, count: int, model: Manifest
) -> tuple[NDArray[np.float32], list[int] | None]:
    """Return latents near that of the one image, and the seeds they are drawn from, if they are.

    Raises:
        InvalidField: several are asked for, and the model gives just one.
    """
    if "logvar" in encoded:
        drawn = seeds.spread(body.seed, count, "form")
        posteriors = {name: value.repeat(count, axis=0) for name, value in encoded.items()}
        return encoding.draw(posteriors, drawn, model), drawn
    if count > 1:
        raise InvalidField.at(
            ("form", "n"), f"must be 1: {model.name} gives one latent of an image, not a distribution"
        )
    return encoded["latents"], None


@router.post("/v1/embeddings", include_in_schema=False)
async def create_embeddings(request: Request) -> Response:
    """Return the latent of each image as a flat row of numbers; of a distribution its mean."""
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
    """Return every model that draws, translates or varies images, or finds latents."""
    return _json({"object": "list", "data": list(_models(request).values())})


@router.get("/v1/models/{model}", include_in_schema=False)
async def show_model(request: Request) -> Response:
    """Return one of these models."""
    found = _models(request)
    shown = found.get(request.path_params["model"])
    if shown is None:
        raise UnknownModel.among(found)
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
        "domains": list(translation.targets(manifest)) or None,
    }


def _json(content: dict[str, Any]) -> Response:
    dumped = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return CompressedResponse(dumped, media_type="application/json")
