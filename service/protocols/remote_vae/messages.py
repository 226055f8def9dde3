"""What a request says in its query, and the forms of its answer.

query -> DecodeQuery, EncodeQuery -> routes -> image, tensor -> HTTP response

Clients write numbers and truth values as Python prints them (`True`), and repeat `shape` once per axis.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import orjson
from fastapi import Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from service.api.validation import parse_known
from service.checkpoint.manifest import LatentSpec
from service.media import images
from service.media.images import Format
from service.protocols.remote_vae import tensors
from service.protocols.remote_vae.tensors import DType

TENSOR = "tensor/binary"
FORMATS: dict[str, tuple[Format, str]] = {"png": ("png", "image/png"), "jpg": ("jpeg", "image/jpeg")}

Axes = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=5)]
Scale = Annotated[float, Field(ge=1e-6, le=1e6)]
Shift = Annotated[float, Field(ge=-1e6, le=1e6)]
Pixels = Annotated[int, Field(ge=1)]


class _Query(BaseModel):
    """What a query says; others are ignored, as in other servers of this protocol."""

    model_config = ConfigDict(frozen=True)

    scaling_factor: Scale | None = None
    shift_factor: Shift | None = None


class DecodeQuery(_Query):
    """How the latents in the body look, and what is to be made of them."""

    shape: Axes
    dtype: DType
    do_scaling: bool = False
    """Whether the checkpoint's own scaling and shift apply, where none are given."""
    output_type: Literal["pil", "pt"] = "pil"
    image_format: Literal["png", "jpg"] = "jpg"
    partial_postprocess: bool = False
    height: Pixels | None = None
    width: Pixels | None = None


class EncodeQuery(_Query):
    """How the images in the body look; without a shape the body is one image file."""

    shape: Axes | None = None
    dtype: DType = "float32"


Asked = TypeVar("Asked", bound=_Query)


def read_query(request: Request, schema: type[Asked]) -> Asked:
    """Return what the query says.

    Raises:
        InvalidField: it breaks the schema.
    """
    query = request.query_params
    given: dict[str, Any] = dict(query) | ({"shape": query.getlist("shape")} if "shape" in query else {})
    return parse_known(schema, given, "query")


def scaling(query: DecodeQuery | EncodeQuery, latent: LatentSpec) -> tuple[np.float32, np.float32]:
    """Return the scaling and the shift between the latents of the wire and those of the checkpoint."""
    scale, shift = query.scaling_factor, query.shift_factor
    if isinstance(query, DecodeQuery) and query.do_scaling and scale is None:
        scale, shift = latent.scaling_factor, latent.shift_factor if shift is None else shift
    return np.float32(1.0 if scale is None else scale), np.float32(shift or 0.0)


def image_file(pixels: NDArray[np.uint8], image_format: str) -> Response:
    """Return one image, (H, W) or (H, W, 3), as a file."""
    name, media_type = FORMATS[image_format]
    return Response(images.encode(pixels, name), media_type=media_type)


def tensor(array: NDArray[np.float32], dtype: DType) -> Response:
    return _bytes(tensors.write(array, dtype), array.shape, dtype)


def pixel_tensor(pixels: NDArray[np.uint8]) -> Response:
    """Return images as their pixels, (N, H, W) or (N, H, W, 3)."""
    return _bytes(pixels.tobytes(), pixels.shape, "uint8")


def _bytes(raw: bytes, shape: tuple[int, ...], dtype: str) -> Response:
    return Response(raw, headers={"shape": orjson.dumps(shape).decode(), "dtype": dtype}, media_type=TENSOR)
