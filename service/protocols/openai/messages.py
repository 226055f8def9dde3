"""Requests of OpenAI's API: the fields that mean something here, each of which may be null.

body -> request_bodies.parse -> a request below -> routes
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from service.api.requests import MAX_TEXT, MAX_TRUNCATION, Seed, Whole
from service.media.images import Format

MAX_PROMPT = 32_000
"""Characters, as many as that API takes."""


def _read_size(value: object) -> tuple[int, int] | None:
    if value is None or value == "auto":
        return None
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,3}x[1-9][0-9]{0,3}", value, re.ASCII):
        width, _, height = value.partition("x")
        return int(width), int(height)
    raise PydanticCustomError("size", "Input should be auto, or width x height in pixels, such as 512x512")


def _read_input(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return value
    raise PydanticCustomError(
        "input", "Input should be an image as a data URL or base64, or a list of one or more of these"
    )


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)

    model: str | None = Field(None, max_length=MAX_TEXT)
    """`name` or `name@version`; without it the default model for the operation answers."""


class AnswerOptions(_Request):
    """How many images to answer with, and in what form."""

    n: Annotated[int, Field(ge=1), Whole] | None = None
    size: Annotated[tuple[int, int] | None, PlainValidator(_read_size)] = None
    """Width and height in pixels; None is the model's own."""
    response_format: Literal["b64_json"] | None = None
    output_format: Format | None = None
    stream: Literal[False] | None = None


class ImagesRequest(AnswerOptions):
    """Images to draw."""

    prompt: str = Field(max_length=MAX_PROMPT)
    seed: Seed | None = None
    """Of the first image, as in /generate; not a field of that API."""
    truncation: float | None = Field(None, gt=0, le=MAX_TRUNCATION)
    """As in /generate; not a field of that API."""


class EditRequest(AnswerOptions):
    """What to translate images to."""

    prompt: str = Field("", max_length=MAX_PROMPT)
    """A domain, in any case."""


class VariationRequest(AnswerOptions):
    """What to draw near an image."""

    seed: Seed | None = None
    """Of the first image; not a field of that API."""


class EmbeddingsRequest(_Request):
    """Images to find the latents of."""

    input: Annotated[list[str], PlainValidator(_read_input)]
    """Comes as one text or as a list of them."""
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Whole] | None = None
