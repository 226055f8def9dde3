"""From one place in latent space to another: /interpolate."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import encoding, openapi, rendering, request_bodies, responses
from service.api.dependencies import deadline_s, repository, settings
from service.api.payload import Members, OutputImages
from service.api.requests import InterpolateRequest, Stop
from service.api.responder import Responder
from service.api.uploads import Upload
from service.checkpoint.manifest import Manifest, Operation
from service.errors import InvalidField, Location, OperationNotOffered
from service.http.fast_path import raw_router
from service.inference.model import Model
from service.latent_space import interpolation, labels, latents, sampling
from service.repository.capabilities import Capability

router = raw_router("latent space")


@router.post(
    "/interpolate",
    summary="Walk from latent to latent",
    openapi_extra=openapi.post(
        InterpolateRequest,
        responses.InterpolateResponse,
        {"stops": [{"seed": 1, "label": "Bag"}, {"seed": 2, "label": "Ankle boot"}], "steps": 9},
    ),
)
async def interpolate(request: Request) -> Response:
    """Return images on the way from the first stop to the last, past those between.

    Where a model draws by class, each image is of the class of the stop it is nearest to. An image can be
    a stop only for a model that encodes, a seed only for one that generates, the mean of a class only for one
    that came with images of its training data. What a stop adds leads from the mean of one class to that of
    another, such as from "Sneaker" to "Ankle boot", times its strength.
    """
    respond = Responder(request, rendering.OF_IMAGES)
    body = await request_bodies.read_json(request, InterpolateRequest)
    request_bodies.check_count(body.steps, settings(request).max_count, "steps")
    encodes = any(stop.image is not None or stop.mean is not None or stop.add for stop in body.stops)
    offers: Capability = "reconstruct" if encodes and body.model is None else "interpolate"
    model = repository(request).get(body.model, offers)
    shape = latents.fixed_shape(model.manifest)
    stops = await _stops(request, model, body.stops)
    walked = interpolation.walk(stops, body.steps, body.path)
    graph = "decode" if "decode" in model.manifest.offers() else "generate"
    classes = _classes(body.stops, model.manifest, graph)
    members: Members = {"latents": walked, "shape": list(shape)}
    inputs: dict[str, NDArray[Any]] = {"latents": walked.reshape(-1, *shape)}
    if classes is not None and model.manifest.labels:
        inputs["labels"] = classes[interpolation.nearest(len(stops), body.steps)]
        members["labels"] = [model.manifest.labels[i] for i in inputs["labels"]]
    outputs = await model.run(graph, inputs, deadline_s(request))
    images = OutputImages(outputs["images"], model.manifest.image)
    return await respond.once(model.manifest, {"images": images, **members})


async def _stops(request: Request, model: Model, stops: list[Stop]) -> NDArray[np.float32]:
    """Return the latent of each stop as a row, (S, D), moved along its directions.

    Raises:
        OperationNotOffered: the model cannot encode an image, or draw from a seed.
        InvalidField: an image or a latent cannot be used; says of which stop.
    """
    manifest, latent = model.manifest, latents.spec(model.manifest)
    rows = np.empty((len(stops), latent.size), np.float32)
    given, seeded, encoded = (
        [i for i, stop in enumerate(stops) if getattr(stop, name) is not None]
        for name in ("latent", "seed", "image")
    )
    if given:
        places = [("body", "stops", i, "latent") for i in given]
        rows[given] = latents.flat(
            latents.tensor([stops[i].latent or [] for i in given], latent.fixed_shape, places)
        )
    if seeded:
        _check_offers(manifest, "generate", "draws from no seed, so a seed cannot be a stop")
        rows[seeded] = latents.flat(sampling.noise([stops[i].seed or 0 for i in seeded], latent, 1.0))
    if encoded:
        _check_offers(manifest, "encode", "has no encoder, so an image cannot be a stop")
        places = [("body", "stops", i, "image") for i in encoded]
        upload = Upload([stops[i].image or "" for i in encoded], places)
        rows[encoded] = await encoding.latent_rows(request, model, upload, counts_for_drift=False)
    for i, stop in enumerate(stops):
        place: Location = ("body", "stops", i)
        if stop.mean is not None:
            rows[i] = _mean(model, stop.mean, (*place, "mean"))
        for k, way in enumerate(stop.add):
            there = _mean(model, way.to, (*place, "add", k, "to"))
            rows[i] += way.strength * (there - _mean(model, way.source, (*place, "add", k, "from")))
    return rows


def _mean(model: Model, label: str | int, place: Location) -> NDArray[np.float32]:
    """Return the mean latent of a class of the training data, (D,).

    Raises:
        OperationNotOffered: the model has no reference file.
        InvalidField: there is no such class.
    """
    reference = model.need_reference(", so no class has a mean")
    return reference.class_mean(labels.index(label, reference.classes, place))


def _check_offers(manifest: Manifest, operation: Operation, reason: str) -> None:
    if operation not in manifest.offers():
        raise OperationNotOffered(f"{manifest.name} {reason}.")


def _classes(stops: list[Stop], model: Manifest, graph: str) -> NDArray[np.int64] | None:
    """Return the class of each stop, as asked for or else drawn from its seed; None where `graph` takes none.

    Raises:
        InvalidField: there is no such class, none at all, or a latent has come without one.
    """
    if graph != "generate" or model.labels is None:
        for i, stop in enumerate(stops):
            if stop.label is not None:
                raise InvalidField.at(
                    ("body", "stops", i, "label"), f"{model.name} does not draw by class; leave it out"
                )
        return None
    return np.array([_class(stop, i, model) for i, stop in enumerate(stops)], np.int64)


def _class(stop: Stop, position: int, model: Manifest) -> int:
    place = ("body", "stops", position, "label")
    if stop.label is not None:
        return labels.index(stop.label, model.labels or (), place)
    if stop.seed is None:
        raise InvalidField.at(place, f"{model.name} draws by class: a latent needs one")
    return int(sampling.labels([stop.seed], len(model.classes or ()))[0])
