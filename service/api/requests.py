"""Request bodies: what may be sent, and the sentences that the docs show.

    request_bodies -> validation -> a request below -> routes

Requests are strict: unknown fields, null, coercions, NaN and infinity are refused. `Options` and its
kin are what a request says besides its images or latents: all that a query string or a form can carry.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic.functional_validators import BeforeValidator, PlainValidator
from pydantic_core import CoreSchema, PydanticCustomError

from service.latent_space.interpolation import Path
from service.latent_space.sampling import MAX_SEED

MAX_TRUNCATION = 2.0
MAX_TEXT = 256
"""Characters of a name of a model, class or domain."""


class NotNull:
    """Marks an `X | None` field that may be left out, but not be null."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of X alone; a default is not validated."""
        nullable = handler(source)
        if nullable["type"] != "nullable":
            raise TypeError("NotNull marks fields of type X | None")
        inner: CoreSchema = nullable["schema"]
        return inner


def _integer(value: object) -> object:
    """Return 4.0 as 4: it is an integer to JSON Schema, and to JavaScript they are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _seed(value: object) -> object:
    if isinstance(value := _integer(value), int) and value < 0:
        raise PydanticCustomError("seed", "Input should be 0 or more; leave seed out to draw one")
    return value


def _check_label(value: object) -> str | int:
    value = _integer(value)
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise PydanticCustomError("label", "Input should be a class name or a class index")


def _drop_null_defaults(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        if field.get("default", ...) is None:
            del field["default"]


Whole = BeforeValidator(_integer)
"""Marks a field of integers, after its limits."""
Seed = Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(_seed)]
Label = Annotated[str | int, PlainValidator(_check_label, json_schema_input_type=str | int)]
Images = Annotated[
    list[str],
    Field(
        min_length=1,
        description="Images of any size, each a base64 PNG, JPEG or WebP file, or a data URL of one.",
        fail_fast=True,
    ),
]


ImageSet = Annotated[list[str], Field(min_length=2, fail_fast=True)]
Latents = Annotated[
    list[Annotated[list[float], Field(min_length=1, fail_fast=True)]],
    Field(min_length=1, description="One flat row of numbers per image.", fail_fast=True),
]


class _Body(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra=_drop_null_defaults,
    )


class Options(_Body):
    """What every request may say."""

    model: Annotated[str | None, NotNull()] = Field(
        None,
        max_length=MAX_TEXT,
        description="`name` or `name@version`; left out, the default model for the operation answers.",
    )


class ImagesRequest(_Body):
    """The images of a JSON request."""

    images: Images


class ImageLine(_Body):
    """One line of a stream of images."""

    image: str = Field(description="A base64 PNG, JPEG or WebP file, or a data URL of one.")


class EncodeOptions(Options):
    """What a request to encode says besides its images."""

    sample: bool = Field(False, description="Draw from the posterior instead of returning its mean.")
    seed: Annotated[Seed | None, NotNull()] = Field(
        None, description="Image i is drawn with seed + i; leave it out to draw one, which is returned."
    )
    typicality: bool = Field(
        False, description="Also say how usual each image is among those the model was made for."
    )

    @model_validator(mode="after")
    def _check(self) -> EncodeOptions:
        if self.seed is not None and not self.sample:
            raise PydanticCustomError("seed", "seed needs sample to be true: the mean is not random")
        return self


class EncodeRequest(EncodeOptions, ImagesRequest):
    """Images to find the latents of."""


class DecodeRequest(Options):
    """Latents to make images of."""

    latents: Latents
    shape: Annotated[
        Annotated[list[Annotated[int, Field(ge=1), Whole]], Field(min_length=1, max_length=4)] | None,
        NotNull(),
    ] = Field(
        None,
        description="The shape of one latent, as /encode gives it; needed where that depends on the image.",
    )


class ReconstructRequest(Options, ImagesRequest):
    """Images to encode and decode again."""


class TranslateOptions(Options):
    """What a request to translate says besides its images."""

    to: Annotated[str | None, NotNull()] = Field(
        None,
        max_length=MAX_TEXT,
        description="The domain to translate to; may be left out where the model has just one.",
    )
    cycle: bool = Field(False, description="Also translate back, and say how far that is from the input.")


class TranslateRequest(TranslateOptions, ImagesRequest):
    """Images to carry over to another domain."""


class GenerateRequest(Options):
    """How many images to draw, of what."""

    label: Annotated[Label | None, NotNull()] = Field(
        None,
        description="Class of all images: its name in any case, or its index; or the label of any class.",
    )
    labels: Annotated[
        Annotated[list[Label], Field(min_length=1, fail_fast=True)] | None,
        NotNull(),
    ] = Field(None, description="Classes, one per image; instead of label and count.")
    count: Annotated[Annotated[int, Field(ge=1), Whole] | None, NotNull()] = Field(
        None, description="How many images; 1 if neither count nor labels is given."
    )
    seed: Annotated[Seed | None, NotNull()] = Field(
        None, description="Image i is drawn with seed + i; leave it out to draw one, which is returned."
    )
    truncation: Annotated[float, Field(gt=0, le=MAX_TRUNCATION)] = Field(
        1.0, description="Scales the distance from the prior's mean: below 1 safer, above 1 wilder."
    )
    return_latents: bool = Field(False, description="Also return the latents the images were made from.")

    @model_validator(mode="after")
    def _check(self) -> GenerateRequest:
        if self.labels is None:
            return self
        if self.label is not None:
            raise PydanticCustomError("labels", "label and labels exclude each other")
        if self.count not in (None, len(self.labels)):
            raise PydanticCustomError("labels", "count differs from the number of labels")
        return self

    @property
    def size(self) -> int:
        return len(self.labels) if self.labels is not None else self.count or 1


class Direction(_Body):
    """What leads from the mean latent of one class to that of another."""

    source: Label = Field(alias="from", description="A class of the training data, by name or index.")
    to: Label = Field(description="Another class.")
    strength: float = Field(1.0, ge=-10, le=10, description="How far: 1 is from one mean to the other.")


class Stop(_Body):
    """One place in latent space: a seed, an image, a latent, or the mean of a class; exactly one of them."""

    seed: Annotated[Seed | None, NotNull()] = Field(None, description="The latent drawn from this seed.")
    image: Annotated[str | None, NotNull()] = Field(
        None, description="The latent of this image, a base64 PNG, JPEG or WebP file, or a data URL of one."
    )
    latent: Annotated[Annotated[list[float], Field(min_length=1, fail_fast=True)] | None, NotNull()] = Field(
        None, description="This latent, a flat row of numbers."
    )
    mean: Annotated[Label | None, NotNull()] = Field(
        None, description="The mean latent of this class of the training data, by name or index."
    )
    add: list[Direction] = Field([], max_length=16, description="Directions to go from there.")
    label: Annotated[Label | None, NotNull()] = Field(
        None, description="Class of the images nearest to this stop, for a model that draws by class."
    )

    @model_validator(mode="after")
    def _check(self) -> Stop:
        if sum(one is not None for one in (self.seed, self.image, self.latent, self.mean)) != 1:
            raise PydanticCustomError("stop", "A stop has exactly one of seed, image, latent and mean")
        return self


class CompareRequest(Options):
    """Two sets of images, or one to hold against what the model was trained on."""

    a: ImageSet = Field(description="Images of any size, as in `images` elsewhere.")
    b: Annotated[ImageSet | None, NotNull()] = Field(
        None, description="The others; left out, training images of the model."
    )


class NeighboursRequest(Options):
    """Images or latents to find training images near to; exactly one of the two."""

    images: Annotated[Images | None, NotNull()] = None
    latents: Annotated[Latents | None, NotNull()] = None
    count: Annotated[int, Field(ge=1, le=100), Whole] = Field(5, description="How many neighbours of each.")

    @model_validator(mode="after")
    def _check(self) -> NeighboursRequest:
        if (self.images is None) == (self.latents is None):
            raise PydanticCustomError("images", "Give images or latents, exactly one of them")
        return self


class InterpolateRequest(Options):
    """Places in latent space, and how to go from one to the next."""

    stops: list[Stop] = Field(
        min_length=1, max_length=64, description="Where the way leads, in this order.", fail_fast=True
    )
    steps: Annotated[int, Field(ge=1), Whole] = Field(
        9, description="Images on the way, evenly spaced from the first stop to the last."
    )
    path: Path = Field(
        "slerp",
        description="slerp: along great circles, as suits draws from N(0, I); linear: straight.",
    )
