"""The two routes of a remote VAE: latents to images, and images to latents."""

from __future__ import annotations

import asyncio
from typing import cast

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from service.api import encoding, request_bodies
from service.api.dependencies import deadline_s, repository, settings
from service.api.request_bodies import check_count
from service.api.responder import IN_PLACE_VALUES
from service.api.uploads import Upload
from service.checkpoint.manifest import ImageSpec, Manifest
from service.errors import BodyTooLarge, InvalidField
from service.http.fast_path import raw_router
from service.latent_space import latents
from service.media import images
from service.protocols.remote_vae import messages, packing, tensors
from service.protocols.remote_vae.messages import TENSOR, DecodeQuery, EncodeQuery

router = raw_router("remote VAE")


@router.post("/remote-vae/{model}/decode", include_in_schema=False)
async def decode(request: Request) -> Response:
    """Return the images of the latents in the body, as a file or as a tensor."""
    query = messages.read_query(request, DecodeQuery)
    model = repository(request).get(request.path_params["model"], "decode")
    rows = _latents(request, model.manifest, query, await request_bodies.read_some(request))
    if query.output_type == "pil" and len(rows) > 1:
        raise InvalidField.at(("query", "shape"), "a file holds one image; ask for more with output_type=pt")
    scale, shift = messages.scaling(query, latents.spec(model.manifest))
    with np.errstate(over="ignore"):
        rows = _finite(rows / scale + shift)
    outputs = await model.run("decode", {"latents": rows}, deadline_s(request))
    found, spec = outputs["images"], model.manifest.image
    is_tensor = TENSOR in request.headers.get("accept", "")
    if found.size <= IN_PLACE_VALUES:
        return _decoded(found, spec, query, is_tensor)
    return await asyncio.to_thread(_decoded, found, spec, query, is_tensor)


def _decoded(found: NDArray[np.float32], spec: ImageSpec, query: DecodeQuery, is_tensor: bool) -> Response:
    """Return images in the form that is asked for.

    A client that asks for an image and accepts a tensor alone wants its numbers, in [0, 1].
    """
    if query.partial_postprocess:
        return messages.pixel_tensor(images.to_pixels(found, spec))
    if query.output_type == "pt":
        return messages.tensor(_signed(found, spec), query.dtype)
    if is_tensor:
        return messages.tensor((_signed(found, spec) / 2 + np.float32(0.5)).clip(0, 1), query.dtype)
    return messages.image_file(images.to_pixels(found, spec)[0], query.image_format)


def _latents(request: Request, model: Manifest, query: DecodeQuery, raw: bytes) -> NDArray[np.float32]:
    """Return the latents of the body as the graph takes them, but for scaling, (N, *shape of one).

    Raises:
        InvalidField: they are not of a shape that the model has.
        BodyTooLarge: their images are larger than allowed.
    """
    latent, place = latents.spec(model), ("query", "shape")
    count, *axes = query.shape
    check_count(count, settings(request).max_count, "shape")
    shape = tuple(axes)
    is_packed = len(shape) == 2 and len(latent.shape) == 3
    if is_packed:
        shape = _packed(model, query, (axes[0], axes[1]))
    shape = latents.shape(model, shape, settings(request).max_image_pixels, place)
    array = tensors.read(raw, query.dtype, tuple(query.shape))
    return packing.unpack(array, cast(tuple[int, int, int], shape)) if is_packed else array


def _packed(model: Manifest, query: DecodeQuery, rows: tuple[int, int]) -> latents.Shape:
    """Return the shape of the latent that one image's rows are packed from.

    Raises:
        InvalidField: the image's height and width are not given, or do not go with the rows.
    """
    if query.height is None or query.width is None:
        raise InvalidField.at(
            ("query", "height"), "height and width of the image are needed to unpack latents"
        )
    stride = model.image.stride
    if model.image.height is not None:
        stride = model.image.height // latents.spec(model).fixed_shape[1]
    shape = packing.shape(rows, query.height, query.width, stride)
    if shape is None:
        raise InvalidField.at(
            ("query", "shape"),
            f"packed latents have one row per {stride * packing.PATCH} x "
            f"{stride * packing.PATCH} pixels of height and width, each of 4 numbers per channel",
        )
    return shape


@router.post("/remote-vae/{model}/encode", include_in_schema=False)
async def encode(request: Request) -> Response:
    """Return the latents of the image in the body, a file or a tensor; of a distribution the mean."""
    query = messages.read_query(request, EncodeQuery)
    model = repository(request).get(request.path_params["model"], "encode")
    raw = await request_bodies.read_some(request)
    if query.shape is None:
        upload = Upload([raw], [("body",)])
        tensor = await upload.tensor(model.manifest.image, settings(request).max_image_pixels)
    else:
        tensor = _images(request, model.manifest.image, query, raw)
    outputs = await encoding.encode(request, model, tensor, counts_for_drift=True)
    scale, shift = messages.scaling(query, latents.spec(model.manifest))
    with np.errstate(over="ignore"):
        rows = _finite((outputs["latents"] - shift) * scale)
    return messages.tensor(rows, query.dtype)


def _images(request: Request, spec: ImageSpec, query: EncodeQuery, raw: bytes) -> NDArray[np.float32]:
    """Return images that came as a tensor in [-1, 1], (N, C, H, W) in the model's range.

    Raises:
        InvalidField: they are not of a shape that the model takes.
        BodyTooLarge: they are larger than allowed.
    """
    shape = tuple(query.shape or ())
    if len(shape) != 4 or shape[1] != spec.channels or not spec.takes(*shape[2:]):
        raise InvalidField.at(("query", "shape"), f"images of this model are {_sides(spec)}")
    check_count(shape[0], settings(request).max_images, "shape")
    most = spec.pixel_limit(settings(request).max_image_pixels)
    if shape[2] * shape[3] > most:
        raise BodyTooLarge(f"An image may have {most} pixels at most.")
    low, high = spec.range
    signed = tensors.read(raw, query.dtype, shape)
    return (signed + np.float32(1)) * np.float32((high - low) / 2) + np.float32(low)


def _sides(spec: ImageSpec) -> str:
    if spec.height is not None:
        return f"[N, {spec.channels}, {spec.height}, {spec.width}]"
    return f"[N, {spec.channels}, H, W] with H and W multiples of {spec.stride}, {spec.side(1)} or more"


def _signed(found: NDArray[np.float32], spec: ImageSpec) -> NDArray[np.float32]:
    """Return a graph's images on the scale [-1, 1], not clipped."""
    low, high = spec.range
    if (low, high) == (-1, 1):
        return found
    return (found - np.float32(low)) * np.float32(2 / (high - low)) - np.float32(1)


def _finite(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scaled latents.

    Raises:
        InvalidField: a number is beyond float32 now.
    """
    if not np.isfinite(rows).all():
        raise InvalidField.at(("query", "scaling_factor"), "the scaled latents are beyond float32")
    return rows
