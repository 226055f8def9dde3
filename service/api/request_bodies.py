"""Bodies of requests: bytes as they come, JSON as a schema, latents as rows.

HTTP body -> read -> parse -> a request of `requests` -> routes;  image_bodies -> read
"""

from __future__ import annotations

import io
from collections.abc import Collection
from typing import cast

import numpy as np
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect, Request

from service.api import compression, dependencies
from service.api.requests import DecodeRequest, Options
from service.api.validation import Schema, parse_json, parse_options
from service.errors import BadRequest, BodyTooLarge, InvalidField, UnsupportedMediaType
from service.http.content_negotiation import JSON, NPY, media_type_of
from service.latent_space.latents import Rows, Shape
from service.media import npy
from service.runtime.off_loop import run_by_size

OCTETS = "application/octet-stream"
"""Stands for every media type of a file that its bytes name better."""
OF_LATENTS = (JSON, NPY, OCTETS)
UNNAMED = frozenset({"", OCTETS, "binary/octet-stream", "application/x-zip-compressed"})


async def read_json(request: Request, schema: type[Schema]) -> Schema:
    """Return the JSON body as `schema`.

    Raises:
        UnsupportedMediaType, BadRequest, InvalidField: it is not JSON, or breaks the schema.
    """
    media_type(request, (JSON,))
    refuse_query(request)
    return await parse(schema, await read(request))


async def parse(schema: type[Schema], raw: bytes) -> Schema:
    """Return a body that is JSON, whatever it is called, as `schema`; a large one is parsed in a thread.

    Raises:
        BodyTooLarge, BadRequest, InvalidField: see `parse_json`.
    """
    return await run_by_size(len(raw), parse_json, schema, raw)


async def read_latents(request: Request) -> tuple[Options, Rows, Shape | None]:
    """Return what is asked, the latents as flat rows, and the shape of one if that was said; unchecked.

    Raises:
        UnsupportedMediaType, BadRequest, InvalidField: it cannot be read, or breaks the schema.
    """
    kind = media_type(request, OF_LATENTS)
    limit = dependencies.settings(request).max_count
    if kind == JSON:
        refuse_query(request)
        body = await parse(DecodeRequest, await read(request))
        check_count(len(body.latents), limit, "latents")
        return body, body.latents, None if body.shape is None else tuple(body.shape)
    options = parse_options(Options, request.query_params.multi_items(), "query")
    raw = await read_some(request)
    if kind == OCTETS and not npy.is_array(raw):
        raise unreadable(request, OF_LATENTS)
    found = await run_by_size(len(raw), npy.read, raw, np.float32, (2, 3, 4, 5))
    array = cast(NDArray[np.float32], found)
    check_count(len(array), limit, "latents")
    return options, array.reshape(len(array), -1), None if array.ndim == 2 else array.shape[1:]


def media_type(request: Request, readable: Collection[str]) -> str:
    """Return the body's media type; OCTETS, if that is readable, for a file of any other.

    Raises:
        UnsupportedMediaType: it is not one of `readable`, or compressed otherwise; says what to send.
    """
    compression.encoding_of(request)
    kind = media_type_of(request.headers.get("content-type", ""))
    if kind in readable:
        return kind
    if OCTETS in readable and (kind in UNNAMED or kind.startswith("image/")):
        return OCTETS
    raise unreadable(request, readable)


def unreadable(request: Request, readable: Collection[str]) -> UnsupportedMediaType:
    """Return the refusal of a body that is not one of `readable`, which says what to send."""
    kind = media_type_of(request.headers.get("content-type", ""))
    first, *others = (one for one in readable if one != OCTETS)
    offer = f"Send one of {', '.join((first, *others))}" if others else f"Send {first}"
    if not kind:
        return UnsupportedMediaType(f"The Content-Type header is missing. {offer}.")
    if kind == "application/x-www-form-urlencoded":
        return UnsupportedMediaType(
            f"A form cannot be read here. {offer}. curl calls every body a form unless told otherwise: "
            f"add -H 'content-type: {first}'."
        )
    return UnsupportedMediaType(f"A body of this Content-Type cannot be read here. {offer}.")


def refuse_query(request: Request) -> None:
    """Let a request with a JSON body pass that has no query.

    Raises:
        InvalidField: it has one.
    """
    if request.scope["query_string"]:
        raise InvalidField.at(("query",), "with a JSON body all options belong into the body")


async def read(request: Request, max_bytes: int | None = None) -> bytes:
    """Return the whole body, inflated if it came compressed.

    Raises:
        BodyTooLarge: it has more than `max_bytes`, where a route takes less than any body may have.
        UnsupportedMediaType, BodyTooLarge, QueueFull, BadRequest: see `inflate`.
    """
    return await compression.inflate(await _read_raw(request, max_bytes), request, max_bytes)


async def _read_raw(request: Request, max_bytes: int | None) -> bytes:
    """Return the body as it comes; most do in one piece, which Starlette's reader would copy."""
    whole, more = io.BytesIO(), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if max_bytes is not None and whole.tell() + len(piece) > max_bytes:
            raise BodyTooLarge(f"The body of this request may have {max_bytes} bytes.")
        if not whole.tell() and not more:
            return piece
        whole.write(piece)  # a list of pieces would be in memory beside what they are joined to
    return whole.getvalue()


async def read_some(request: Request) -> bytes:
    """Return the whole body.

    Raises:
        BadRequest: it is empty.
    """
    raw = await read(request)
    if not raw:
        raise BadRequest("The body is empty.")
    return raw


def check_count(count: int, limit: int, field: str) -> None:
    """Hold the number of things in a field of the body to a limit.

    Raises:
        InvalidField: there are more.
    """
    if count > limit:
        raise InvalidField.at(("body", field), f"at most {limit} in one request")
