"""Response bodies: the shape of what `rendering` writes, and the sentences that the docs show.

here -> openapi -> /docs; tests hold every answer against these
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: str = Field(description="Name of the model that answered.")
    version: int = Field(description="Version of that model.")
    request_id: str = Field(description="The id of this request, as in the header X-Request-Id and the log.")


PngImages = Annotated[list[str], Field(description="One base64 PNG per image.")]
Latents = Annotated[list[list[float]], Field(description="One flat row per image.")]
Shape = Annotated[list[int], Field(description="The shape of one latent.")]


Points = Annotated[list[list[float]], Field(description="x and y, one pair each.")]


class EncodeResponse(_Answer):
    """The latents of the images."""

    latents: Latents
    shape: Shape
    seeds: list[int] | None = Field(None, description="With sample: the seed each latent was drawn with.")
    typicality: list[float] | None = Field(
        None,
        description="If asked for: the probability that an image like the training data's is as unusual as "
        "this one; of those one in twenty is below 0.05.",
    )


class DecodeResponse(_Answer):
    """The images of the latents."""

    images: PngImages


class ReconstructResponse(_Answer):
    """The images as the model gives them back, and how far off each is, on the [0, 1] scale."""

    images: PngImages
    mse: list[float] = Field(description="Mean squared error.")
    psnr: list[float | None] = Field(description="Peak signal-to-noise ratio in dB; null where mse is 0.")
    ssim: list[float] = Field(description="Structural similarity, 1 for equal images.")


class GenerateResponse(_Answer):
    """The drawn images; each can be drawn again alone, from its seed and label."""

    images: PngImages
    seeds: list[int] = Field(description="The seed of each image.")
    labels: list[str] | None = Field(None, description="The class of each image, if the model has classes.")
    latents: Latents | None = None
    shape: Shape | None = None


class Cycle(BaseModel):
    """The images translated there and back."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    images: PngImages
    l1: list[float] = Field(description="Mean absolute difference from the input, on the [0, 1] scale.")


class InterpolateResponse(_Answer):
    """The images on the way, and their latents."""

    images: PngImages
    latents: Latents
    shape: Shape
    labels: list[str] | None = Field(None, description="The class of each image, if the model has classes.")


class Neighbour(BaseModel):
    """A training image."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    index: int = Field(description="Its place on the model's map.")
    label: str = Field(description="Its class.")
    distance: float = Field(description="Euclidean, in latent space.")
    image: str = Field(description="A base64 PNG of it, shrunk if it is large.")


class NeighboursResponse(_Answer):
    """The training images nearest to each image, nearest first."""

    neighbours: list[list[Neighbour]]
    points: Points = Field(description="Where each image lies on the model's map.")


class CompareResponse(_Answer):
    """How far apart the sets are, and the probability (`_p`) that chance alone brings them as far."""

    space: str = Field(description="What is compared.")
    n: list[int] = Field(description="Images in each set.")
    kl: float = Field(description="Kullback-Leibler divergence of a from b, in nats.")
    kl_p: float
    js: float = Field(description="Jensen-Shannon divergence in nats: 0 if equal, at most log 2.")
    js_p: float
    wasserstein: float = Field(description="Sliced Wasserstein-1 distance, in units of the latent.")
    wasserstein_p: float
    mmd: float = Field(description="Squared maximum mean discrepancy, around 0 if equal; no unit.")
    mmd_p: float
    mmd_power: float = Field(
        description="Statistical power: how often sets of this size would show a difference of this size."
    )


class DriftResponse(_Answer):
    """How far live images are from the training images, as in /compare; null until there are enough."""

    images: int = Field(description="Newest latents that all workers have seen.")
    window: int = Field(description="How many are kept at most.")
    kl: float | None
    kl_p: float | None
    js: float | None
    js_p: float | None
    wasserstein: float | None
    wasserstein_p: float | None
    mmd: float | None
    mmd_p: float | None
    mmd_power: float | None


class MapResponse(_Answer):
    """Training images on a plane of latent space."""

    points: Points
    labels: list[int] = Field(description="Of each point, an index into classes.")
    classes: list[str]
    centre: list[float] = Field(description="The latent at (0, 0): latent = centre + x axes[0] + y axes[1].")
    axes: list[list[float]]
    width: int = Field(description="Pixels of a thumbnail.")
    height: int
    columns: int = Field(description="Thumbnails in a row of the sheet, in the order of the points.")


class TranslateResponse(_Answer):
    """The images in the other domain."""

    images: PngImages
    source: str = Field(alias="from", description="The domain translated from.")
    to: str = Field(description="The domain translated to.")
    cycle: Cycle | None = None


class LatentInfo(BaseModel):
    """One latent of a model."""

    shape: list[int | None] = Field(
        description="null where height and width are those of the image, divided by its stride."
    )
    prior: str = Field(description="What generate draws from, such as normal: N(0, I).")


class ImageInfo(BaseModel):
    """The images of a model; images of other sizes are fitted."""

    channels: int
    height: int | None = Field(description="null where any multiple of stride is accepted.")
    width: int | None
    stride: int
    max_pixels: int | None = Field(description="Most that one image may have; null for the service's limit.")


class ModelInfo(BaseModel):
    """A checkpoint: what it offers, or why it is refused."""

    name: str
    version: int | None = Field(description="The version that this is about, else the highest found.")
    versions: list[int] = Field(description="Versions in the folder, highest first.")
    served: list[int] = Field(
        description="Versions that can be asked as name@version; the first of them answers to the name alone."
    )
    state: Literal["serving", "refused", "unloaded"]
    reason: str | None = Field(description="Why a version does not serve, the highest of those refused.")
    default_for: list[str] = Field(description="Operations it answers when a request names no model.")
    title: str | None = None
    family: str | None = None
    licence: str | None = None
    operations: list[str] | None = None
    image: ImageInfo | None = None
    latent: LatentInfo | None = None
    classes: list[str] | None = None
    null_label: str | None = Field(None, description="The label of images of whatever class.")
    domains: list[str] | None = None
    translations: dict[str, str] | None = Field(None, description="Source domain by target domain.")
    reference_classes: list[str] | None = Field(
        None, description="Classes of the training images it came with, for its map and neighbours."
    )
    metrics: dict[str, JsonValue] | None = None


class Limits(BaseModel):
    """What one request may carry and ask for."""

    max_images: int = Field(description="Images in a request.")
    max_count: int = Field(description="Images to ask for.")
    max_stream_images: int = Field(description="Images in a stream of lines, in or out.")
    max_body_bytes: int = Field(description="Bytes of a body that is no stream.")


class ModelsResponse(BaseModel):
    """All checkpoints that were found, and what all of them are held to."""

    models: list[ModelInfo]
    limits: Limits
    request_id: str


class ModelResponse(ModelInfo):
    """One checkpoint."""

    request_id: str


class LiveResponse(BaseModel):
    """The process answers."""

    status: Literal["live"]
    request_id: str


class ReadyResponse(BaseModel):
    """The process has models to answer with."""

    status: Literal["ready"]
    serving: list[str]
    refused: list[str] = Field(description="Checkpoints that are not served; GET /models says why.")
    request_id: str


class ProblemField(BaseModel):
    """What is wrong with one field."""

    loc: list[str | int] = Field(description="Where it is in the request.")
    msg: str = Field(description="What is allowed there.")


class Problem(BaseModel):
    """Any refusal or failure (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemField] | None = None
