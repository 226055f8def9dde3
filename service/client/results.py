"""What the client's methods return: the members of the answers to one call, laid behind one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.client import image_inputs

Floats = NDArray[np.float32]
Answers = Sequence[dict[str, Any]]
"""The answers to the requests that one call was split into, in their order."""


@dataclass(frozen=True)
class Result:
    """Who answered."""

    model: str
    version: int


@dataclass(frozen=True)
class Images(Result):
    """Images."""

    images: image_inputs.Pixels
    """uint8, (N, H, W) or (N, H, W, 3)."""

    def pil(self) -> list[Image.Image]:
        """Return them as Pillow images."""
        return image_inputs.to_pil(self.images)


@dataclass(frozen=True)
class Encoded(Result):
    """Latents of images."""

    latents: Floats
    """(N, *shape of a latent)."""
    seeds: list[int] | None
    """With `sample`: what each was drawn with."""
    typicality: Floats | None
    """If asked for: (N,), how often an image like the training data's is as unusual."""


@dataclass(frozen=True)
class Reconstructed(Images):
    """Images as the model gives them back, and how far off each is, on the [0, 1] scale; (N,) each."""

    mse: Floats
    psnr: Floats
    """In dB; infinite where mse is 0."""
    ssim: Floats


@dataclass(frozen=True)
class Generated(Images):
    """Images drawn from the prior."""

    seeds: list[int]
    labels: list[str] | None
    """The class of each, for a model with classes."""
    latents: Floats | None
    """If asked for: (N, *shape of a latent)."""


@dataclass(frozen=True)
class Drawn:
    """One image drawn from the prior."""

    image: image_inputs.Pixels
    """uint8, (H, W) or (H, W, 3)."""
    seed: int
    label: str | None
    latent: Floats | None
    """If asked for: a flat row."""


@dataclass(frozen=True)
class Translated(Images):
    """Images in another domain."""

    source: str
    to: str
    back: image_inputs.Pixels | None
    """With `cycle`: translated back again, like `images`."""
    l1: Floats | None
    """With `cycle`: (N,), how far `back` is from what was sent, on the [0, 1] scale."""


@dataclass(frozen=True)
class Interpolated(Images):
    """Images on a way through latent space."""

    latents: Floats
    """(N, *shape of a latent)."""
    labels: list[str] | None


@dataclass(frozen=True)
class Neighbour:
    """A training image."""

    index: int
    label: str
    distance: float
    image: image_inputs.Pixels
    """uint8, (H, W) or (H, W, 3)."""


@dataclass(frozen=True)
class Neighbours(Result):
    """The training images nearest to each image, nearest first."""

    neighbours: list[list[Neighbour]]
    points: Floats
    """(N, 2): where each image lies on the model's map."""


@dataclass(frozen=True)
class Comparison(Result):
    """How far apart two sets of images are, and how often chance alone brings them as far (`_p`)."""

    space: str
    n: tuple[int, int]
    kl: float
    kl_p: float
    js: float
    js_p: float
    wasserstein: float
    wasserstein_p: float
    mmd: float
    mmd_p: float
    mmd_power: float


@dataclass(frozen=True)
class ModelInfo:
    """A checkpoint that the service knows; what a refused one would offer is not known."""

    name: str
    version: int | None
    state: str
    reason: str | None
    operations: list[str]
    classes: list[str] | None
    domains: list[str] | None
    latent_shape: tuple[int | None, ...] | None
    image_shape: tuple[int, int | None, int | None] | None
    """Channels, height, width; None where any multiple of the stride is accepted."""


def who(answers: Answers) -> dict[str, Any]:
    """Return the fields of a `Result`."""
    return {"model": answers[0]["model"], "version": answers[0]["version"]}


def images(answers: Answers) -> image_inputs.Pixels:
    """Return all images."""
    return image_inputs.from_base64(text for answer in answers for text in answer["images"])


def floats(answers: Answers, name: str) -> Floats:
    """Return a member that has numbers for each image, (N, ...); null is infinite."""
    rows = [row for answer in answers for row in answer[name]]
    return np.array([np.inf if row is None else row for row in rows], np.float32)


def latents(answers: Answers) -> Floats:
    """Return all latents, each in its shape."""
    return floats(answers, "latents").reshape(-1, *answers[0]["shape"])


def joined(answers: Answers, name: str) -> list[Any] | None:
    """Return a member that is a list, if there is one."""
    return [one for answer in answers for one in answer[name]] if name in answers[0] else None


def drawn(line: dict[str, Any]) -> Drawn:
    """Return what one line of a stream has of its image."""
    (image,) = image_inputs.from_base64([line["image"]])
    latent = np.array(line["latent"], np.float32) if "latent" in line else None
    return Drawn(image, line["seed"], line.get("label"), latent)


def model_info(found: dict[str, Any]) -> ModelInfo:
    """Return what is of use in an entry of GET /models."""
    image, latent = found.get("image"), found.get("latent")
    return ModelInfo(
        **{name: found[name] for name in ("name", "version", "state", "reason")},
        operations=found.get("operations") or [],
        classes=found.get("classes"),
        domains=found.get("domains"),
        latent_shape=tuple(latent["shape"]) if latent else None,
        image_shape=(image["channels"], image["height"], image["width"]) if image else None,
    )
