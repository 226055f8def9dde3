"""Pictures carried over to another domain: /translate."""

from __future__ import annotations

import asyncio

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service import answers, bodies, examples, openapi, responses, unit
from service.answers import Pictures
from service.errors import InvalidField
from service.manifest import ImageSpec, Manifest, Translation
from service.model import Model
from service.repository import Repository
from service.routes.plain import router as plain_router
from service.schemas import TranslateOptions, TranslateRequest
from service.state import deadline_s, repository, settings

router = plain_router("translation")


@router.post(
    "/translate",
    summary="Carry pictures over to another domain",
    openapi_extra=openapi.post(
        TranslateRequest,
        responses.TranslateResponse,
        {"images": [examples.boot_base64()], "to": "bags", "cycle": True},
        pictures=TranslateOptions,
    ),
)
async def translate(request: Request) -> Response:
    """Return each picture in the domain `to`; with `cycle`, also back again and how far that is from it.

    Without `model`, `to` selects among the models that translate to that domain.
    """
    kind = answers.media_type(request, answers.OF_PICTURES)
    options, upload = await bodies.read_pictures(request, TranslateOptions, TranslateRequest)
    model = _select(repository(request), options)
    to, source = _domains(model.manifest, options)
    spec = model.manifest.image
    pictures = await upload.tensor(spec, settings(request).max_image_pixels)
    outputs = await model.run(f"translate.{to}", {"images": pictures}, deadline_s(request))
    there = outputs["translated"]
    members = {"images": Pictures(there, spec), "from": source, "to": to}
    if options.cycle:
        outputs = await model.run(f"translate.{source}", {"images": there}, deadline_s(request))
        back = outputs["translated"]
        distance = await asyncio.to_thread(_l1, pictures, back, spec)
        members["cycle"] = {"images": Pictures(back, spec), "l1": distance}
    return await answers.write(request, kind, model.manifest, members)


def _l1(given: NDArray[np.float32], back: NDArray[np.float32], spec: ImageSpec) -> NDArray[np.float32]:
    """Return the mean absolute difference of each pair, on the scale [0, 1]."""
    distance: NDArray[np.float32] = np.abs(unit.scale(given, spec) - unit.scale(back, spec)).mean(
        axis=(1, 2, 3)
    )
    return distance


def _select(models: Repository, options: TranslateOptions) -> Model:
    """Return the model that is named, or the one for the domain that is named, or the default.

    Raises:
        InvalidField: no model translates to that domain, or none is named; lists those there are.
    """
    if options.model is not None:
        return models.get(options.model, "translate")
    known = {to for status in models.listing() if status.manifest for to in _targets(status.manifest)}
    if options.to is not None and known and options.to not in known:
        raise InvalidField.at(("body", "to"), f"no such domain; known are {', '.join(sorted(known))}")
    model = models.get(None, "translate", options.to)
    if options.to is None and len(_targets(model.manifest)) > 1:
        raise InvalidField.at(("body", "to"), f"name a domain to translate to: {', '.join(sorted(known))}")
    return model


def _domains(model: Manifest, options: TranslateOptions) -> tuple[str, str]:
    """Return the domains to translate to and from.

    Raises:
        InvalidField: `to` is missing and ambiguous, is not offered, or there is no way back for `cycle`.
    """
    targets = _targets(model)
    to = options.to
    if to is None and len(targets) == 1:
        to = next(iter(targets))
    if to is None or to not in targets:
        raise InvalidField.at(
            ("body", "to"), f"{model.name} translates to {', '.join(targets)}; name one of them"
        )
    source = targets[to].source
    if options.cycle and source not in targets:
        raise InvalidField.at(("body", "cycle"), f"{model.name} does not translate back to {source}")
    return to, source


def _targets(model: Manifest) -> dict[str, Translation]:
    return model.operations.translate or {}
