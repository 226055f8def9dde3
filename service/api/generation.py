"""What is asked of a generator, on its way to the inputs of its graph.

routes/generate, protocols -> GenerateRequest -> plan -> Plan -> Model.run
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.api.requests import GenerateRequest
from service.checkpoint.manifest import Manifest
from service.errors import InvalidField
from service.latent_space import labels, latents, sampling, seeds
from service.latent_space.sampling import Draw


@dataclass(frozen=True)
class Plan:
    """Images to be drawn."""

    seeds: list[int]
    """One per image."""
    labels: list[str] | None
    """The class of each image, None for a model without classes."""
    latents: Draw
    classes: NDArray[np.int64] | None
    """The index of each label."""
    first: int = 0
    """Which of the request's images the first of them is."""

    @property
    def inputs(self) -> dict[str, Draw | NDArray[Any]]:
        """Return what the graph `generate` takes."""
        inputs: dict[str, Draw | NDArray[Any]] = {"latents": self.latents}
        if self.classes is not None:
            inputs["labels"] = self.classes
        return inputs


def parts(body: GenerateRequest, manifest: Manifest, images: int) -> Iterator[Plan]:
    """Yield the plans of so many images of a request after another, each when its turn comes.

    Raises:
        OperationNotOffered, InvalidField: see `plan`.
    """
    seed = seeds.first(body.seed, body.size)
    for start in range(0, body.size, images):
        part: dict[str, Any] = {"seed": seed + start, "count": min(images, body.size - start)}
        if body.labels is not None:
            part["labels"] = body.labels[start : start + images]
        yield plan(body.model_copy(update=part), manifest, start=start)


def plan(body: GenerateRequest, manifest: Manifest, where: str = "body", start: int = 0) -> Plan:
    """Return what to run for a request; `where` says in which part of it the fields were.

    A label that a model with classes was not given is drawn from the image's seed; the first of those that
    were given is number `start` of its list.

    Raises:
        OperationNotOffered: the model has no latent.
        InvalidField: a class is unknown, or the model has none.
    """
    latent = latents.spec(manifest)
    drawn = seeds.spread(body.seed, body.size, where)
    draw = Draw(drawn, latent, body.truncation)
    classes = _class_indices(body, manifest, drawn, where, start)
    if classes is None or manifest.labels is None:
        return Plan(drawn, None, draw, None, start)
    return Plan(drawn, [manifest.labels[i] for i in classes], draw, classes, start)


def _class_indices(
    body: GenerateRequest, model: Manifest, drawn: list[int], where: str, start: int
) -> NDArray[np.int64] | None:
    """Return the class of each image, as asked for or else drawn; None for a model without classes."""
    if model.classes is None or model.labels is None:
        if body.label is not None or body.labels is not None:
            field = "label" if body.labels is None else "labels"
            raise InvalidField.at((where, field), f"{model.name} has no classes; leave it out")
        return None
    if body.labels is not None:
        places = [(where, "labels", start + i) for i in range(len(body.labels))]
        found = [labels.index(one, model.labels, at) for one, at in zip(body.labels, places, strict=True)]
        return np.array(found, np.int64)
    if body.label is not None:
        return np.full(body.size, labels.index(body.label, model.labels, (where, "label")), np.int64)
    return sampling.labels(drawn, len(model.classes))
