"""What can be asked of the service: each function yields the requests of one call and returns its result.

    Client.encode(...) -> encode(session, ...) -> Steps[Encoded]

Calls of more images than one request may carry become several requests. An option that is left out is not
sent, and `model` may be left out everywhere: the service then takes its default.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.client import image_inputs, results
from service.client.image_inputs import ImageInput, ImageInputs
from service.client.progress import bar
from service.client.results import (
    Answers,
    Comparison,
    Drawn,
    Encoded,
    Generated,
    Images,
    Interpolated,
    ModelInfo,
    Neighbour,
    Neighbours,
    Reconstructed,
    Translated,
)
from service.client.steps import Limits, Request, Session, Steps, Stream, limits

Stop = int | ImageInput | Mapping[str, Any]
"""A seed, an image, a latent as a row of floats, or what the API takes: {"mean": "Bag"}."""

NDJSON = "application/x-ndjson"
MAX_DRAWN_SEED = 1 << 52
BODY_SHARE = 0.9
"""Of the bytes a request may have, that its images or latents may take."""


def encode(
    session: Session,
    images: ImageInputs,
    *,
    model: str | None = None,
    sample: bool = False,
    seed: int | None = None,
    typicality: bool = False,
) -> Steps[Encoded]:
    """Find the latents of images: posterior means, or with `sample` draws, image i from `seed` + i."""
    options = _given(model=model, sample=sample, typicality=typicality)
    first = _drawn(seed) if sample else seed
    answers = yield from _of_images(session, "/encode", images, options, first)
    codes = results.latents(answers)
    typical = results.floats(answers, "typicality") if typicality else None
    seeds = results.joined(answers, "seeds")
    return Encoded(**results.who(answers), latents=codes, seeds=seeds, typicality=typical)


def decode(session: Session, latents: ArrayLike, *, model: str | None = None) -> Steps[Images]:
    """Make an image of each latent; they come in their shape, (N, ...), or of one size as flat rows too."""
    rows = np.asarray(latents, np.float32)
    known = (yield from limits(session)) if len(rows) > 1 else None
    most = len(rows)
    if known:
        most = max(1, min(known.max_count, int(BODY_SHARE * known.max_body_bytes) // rows[0].nbytes))
    answers = []
    with bar("decode", len(rows), shown=session.progress and len(rows) > most) as advance:
        for start in range(0, len(rows), most):
            part = rows[start : start + most]
            answers.append((yield Request("POST", "/decode", array=_npy(part), params=_given(model=model))))
            advance(len(part))
    return Images(**results.who(answers), images=results.images(answers))


def reconstruct(session: Session, images: ImageInputs, *, model: str | None = None) -> Steps[Reconstructed]:
    """Encode images and decode them again, and say how far off each then is."""
    answers = yield from _of_images(session, "/reconstruct", images, _given(model=model))
    mse, psnr, ssim = (results.floats(answers, name) for name in ("mse", "psnr", "ssim"))
    return Reconstructed(
        **results.who(answers), images=results.images(answers), mse=mse, psnr=psnr, ssim=ssim
    )


def generate(
    session: Session,
    count: int | None = None,
    *,
    label: str | int | None = None,
    labels: Sequence[str | int] | None = None,
    seed: int | None = None,
    truncation: float | None = None,
    return_latents: bool = False,
    model: str | None = None,
) -> Steps[Generated]:
    """Draw `count` images, 1 if not said, of class `label`; or one of each of `labels`.

    Image i has the seed `seed` + i, and can be drawn again alone from it.
    """
    total = len(labels) if labels is not None else 1 if count is None else count
    known = (yield from limits(session)) if total > 1 else None
    most = known.max_count if known else 1
    first = _drawn(seed)
    options = _given(label=label, truncation=truncation, return_latents=return_latents, model=model)
    answers = []
    with bar("generate", total, shown=session.progress and total > most) as advance:
        for start in range(0, max(total, 1), most):  # what is not a number of images, the service says
            part = min(most, total - start)
            size = {"count": part} if labels is None else {"labels": list(labels[start : start + part])}
            body = {**options, **size, "seed": first + start}
            answers.append((yield Request("POST", "/generate", body)))
            advance(part)
    return Generated(
        **results.who(answers),
        images=results.images(answers),
        seeds=[one for answer in answers for one in answer["seeds"]],
        labels=results.joined(answers, "labels"),
        latents=results.latents(answers) if return_latents else None,
    )


def generate_each(
    _: Session,
    count: int,
    *,
    label: str | int | None = None,
    seed: int | None = None,
    truncation: float | None = None,
    return_latents: bool = False,
    model: str | None = None,
) -> Stream[Drawn]:
    """Draw images one by one, in one request of any size: neither side holds more than a few of them."""
    options = _given(
        label=label, seed=seed, truncation=truncation, return_latents=return_latents, model=model
    )
    request = Request("POST", "/generate", {**options, "count": count}, accept=NDJSON)
    return Stream(request, results.drawn)


def translate(
    session: Session,
    images: ImageInputs,
    to: str | None = None,
    *,
    cycle: bool = False,
    model: str | None = None,
) -> Steps[Translated]:
    """Carry images over to the domain `to`; with `cycle` also back again."""
    options = _given(to=to, cycle=cycle, model=model)
    answers = yield from _of_images(session, "/translate", images, options)
    cycles = [answer["cycle"] for answer in answers] if cycle else None
    return Translated(
        **results.who(answers),
        images=results.images(answers),
        source=answers[0]["from"],
        to=answers[0]["to"],
        back=results.images(cycles) if cycles else None,
        l1=results.floats(cycles, "l1") if cycles else None,
    )


def interpolate(
    _: Session,
    stops: Sequence[Stop],
    steps: int = 9,
    *,
    path: Literal["slerp", "linear"] = "slerp",
    model: str | None = None,
) -> Steps[Interpolated]:
    """Walk from the first of `stops` to the last, in `steps` images."""
    body = {**_given(model=model), "stops": [_stop(one) for one in stops], "steps": steps, "path": path}
    answers = [(yield Request("POST", "/interpolate", body))]
    return Interpolated(
        **results.who(answers),
        images=results.images(answers),
        latents=results.latents(answers),
        labels=results.joined(answers, "labels"),
    )


def neighbours(
    session: Session, images: ImageInputs, count: int = 5, *, model: str | None = None
) -> Steps[Neighbours]:
    """Find the `count` training images whose latents are nearest to each image's."""
    options = _given(model=model, count=count)
    answers = yield from _of_images(session, "/neighbours", images, options)
    found = [[_neighbour(one) for one in row] for answer in answers for row in answer["neighbours"]]
    return Neighbours(**results.who(answers), neighbours=found, points=results.floats(answers, "points"))


def compare(
    _: Session, a: ImageInputs, b: ImageInputs | None = None, *, model: str | None = None
) -> Steps[Comparison]:
    """Tell two sets of images apart, or one from what the model was trained on. Sent in one request."""
    body: dict[str, Any] = {**_given(model=model), "a": _texts(a)}
    if b is not None:
        body["b"] = _texts(b)
    found = yield Request("POST", "/compare", body)
    return Comparison(**{**_without(found, "request_id"), "n": tuple(found["n"])})


def models(_: Session) -> Steps[list[ModelInfo]]:
    """List the checkpoints that the service has found."""
    found = yield Request("GET", "/models")
    return [results.model_info(one) for one in found["models"]]


def _of_images(
    session: Session, path: str, images: ImageInputs, options: Mapping[str, Any], seed: int | None = None
) -> Steps[Answers]:
    """Send images in as few requests as the service's limits allow; image i has the seed `seed` + i."""
    found = image_inputs.several(images)
    known = (yield from limits(session)) if len(found) > 1 else None
    answers: list[dict[str, Any]] = []
    sent = 0
    with bar(path.strip("/"), len(found), shown=session.progress and len(found) > 1) as advance:
        for batch in _batches(found, known):
            numbered = {} if seed is None else {"seed": seed + sent}
            answers.append((yield Request("POST", path, {**options, **numbered, "images": batch})))
            sent += len(batch)
            advance(len(batch))
    return answers


def _batches(found: Sequence[ImageInput], known: Limits | None) -> Iterator[list[str]]:
    """Yield images as JSON carries them, as many as go in one request; one always does."""
    batch: list[str] = []
    size_bytes = 0
    for text in map(image_inputs.to_base64, found):
        if batch and known:
            is_full = size_bytes + len(text) > BODY_SHARE * known.max_body_bytes
            if is_full or len(batch) == known.max_images:
                yield batch
                batch, size_bytes = [], 0
        batch.append(text)
        size_bytes += len(text)
    yield batch


def _texts(images: ImageInputs) -> list[str]:
    return [image_inputs.to_base64(one) for one in image_inputs.several(images)]


def _stop(stop: Stop) -> Mapping[str, Any]:
    """Return a stop as the API takes it."""
    if isinstance(stop, Mapping):
        return {**stop, "image": image_inputs.to_base64(stop["image"])} if "image" in stop else stop
    if isinstance(stop, int | np.integer):
        return {"seed": int(stop)}
    if isinstance(stop, np.ndarray) and stop.dtype != np.uint8:
        return {"latent": stop.ravel().tolist()}
    if isinstance(stop, Sequence) and not isinstance(stop, str):
        return {"latent": [float(one) for one in stop]}
    return {"image": image_inputs.to_base64(stop)}


def _neighbour(found: dict[str, Any]) -> Neighbour:
    (image,) = image_inputs.from_base64([found["image"]])
    return Neighbour(found["index"], found["label"], found["distance"], image)


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None and value is not False}


def _without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}


def _drawn(seed: int | None) -> int:
    """Return a seed, drawn if none is given, so that a call of many requests can count on from it."""
    return secrets.randbelow(MAX_DRAWN_SEED) if seed is None else seed


def _npy(rows: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=False)
    return file.getvalue()
