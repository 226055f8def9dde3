"""What is asked of a generator, on its way to the inputs of its graph.

routes/generate, protocols -> GenerateRequest -> plan -> Plan -> Model.run
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import labels, latents, sampling, seeds
from service.errors import InvalidField
from service.manifest import Manifest
from service.sampling import Draw
from service.schemas import GenerateRequest


@dataclass(frozen=True)
class Plan:
    """Images to be drawn."""

    seeds: list[int]
    """One per image."""
    labels: list[str] | None
    """The class of each image, None for a model without classes."""
    inputs: dict[str, Draw | NDArray[Any]]
    """Of the graph `generate`."""


def plan(body: GenerateRequest, manifest: Manifest, where: str = "body") -> Plan:
    """Return what to run for a request; `where` says in which part of it the fields were.

    A label that a model with classes was not given is drawn from the image's seed.

    Raises:
        OperationNotOffered: the model has no latent.
        InvalidField: a class is unknown, or the model has none.
    """
    latent = latents.spec(manifest)
    drawn = seeds.spread(body.seed, body.size, where)
    inputs: dict[str, Draw | NDArray[Any]] = {"latents": Draw(drawn, latent, body.truncation)}
    if body.return_latents:
        inputs["latents"] = sampling.noise(drawn, latent, body.truncation)
    classes = _class_indices(body, manifest, drawn, where)
    if classes is None or manifest.labels is None:
        return Plan(drawn, None, inputs)
    return Plan(drawn, [manifest.labels[i] for i in classes], inputs | {"labels": classes})


def _class_indices(
    body: GenerateRequest, model: Manifest, drawn: list[int], where: str
) -> NDArray[np.int64] | None:
    """Return the class of each image, as asked for or else drawn; None for a model without classes."""
    if model.classes is None or model.labels is None:
        if body.label is not None or body.labels is not None:
            field = "label" if body.labels is None else "labels"
            raise InvalidField.at((where, field), f"{model.name} has no classes; leave it out")
        return None
    if body.labels is not None:
        found = [labels.index(one, model.labels, (where, "labels", i)) for i, one in enumerate(body.labels)]
        return np.array(found, np.int64)
    if body.label is not None:
        return np.full(body.size, labels.index(body.label, model.labels, (where, "label")), np.int64)
    return sampling.labels(drawn, len(model.classes))
