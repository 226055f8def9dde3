"""Writing answers in the media type that was asked for.

    routes -> members (JSON), among them Pictures or latents -> answers -> HTTP response

Formats that cannot hold the other members have the short ones in headers, `X-Latent-Seeds: 7,8,9`.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from service import images, npy, state
from service.images import Format
from service.manifest import ImageSpec, Manifest
from service.negotiation import choose

JSON = "application/json"
NPY = "application/x-npy"
FORMATS: dict[str, Format] = {"image/png": "png", "image/webp": "webp", "image/jpeg": "jpeg"}
OF_PICTURES = (JSON, *FORMATS, NPY)
OF_LATENTS = (JSON, NPY)

HEADER_MEMBERS = ("model", "version", "seeds", "labels", "from", "to")
MAX_HEADER_BYTES = 4096
"""A longer list is left out: common clients give up at 8 to 16 KiB of headers in all."""

DUMP = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS

IN_PLACE_VALUES = 1 << 16
"""Image values that are encoded on the event loop (about 3 ms); more go to a thread."""


@dataclass(frozen=True)
class Pictures:
    """A graph's images, (N, C, H, W) in the range of `spec`; in JSON a list of base64 PNG."""

    images: NDArray[np.float32]
    spec: ImageSpec

    def pixels(self) -> NDArray[np.uint8]:
        """Return what is shown, (N, H, W) or (N, H, W, 3)."""
        return images.to_pixels(self.images, self.spec)


def media_type(request: Request, offered: Sequence[str]) -> str:
    """Return the media type to answer in; ask first, so that nothing is computed in vain.

    Raises:
        NotAcceptable: the caller takes none of `offered`.
    """
    return choose(",".join(request.headers.getlist("accept")), offered)


def header_name(member: str) -> str:
    """Return the header that carries a member of the JSON answer in other formats."""
    return f"X-Latent-{member.title()}"


async def write(request: Request, kind: str, model: Manifest, members: dict[str, Any]) -> Response:
    """Return the answer of a model as `kind`, one of those that were offered."""
    named = {
        "model": model.name,
        "version": model.version,
        "request_id": state.request_id(request),
        **members,
    }
    content = await _off_loop_if_large(kind, named)
    return Response(content, headers=None if kind == JSON else _headers(named), media_type=kind)


def json(request: Request, members: dict[str, Any]) -> Response:
    """Return an answer that no model has part in."""
    return Response(_dump({**members, "request_id": state.request_id(request)}), media_type=JSON)


async def _off_loop_if_large(kind: str, members: dict[str, Any]) -> bytes:
    shown = members.get("images")
    if shown is None or shown.images.size <= IN_PLACE_VALUES:
        return _content(kind, members)
    return await asyncio.to_thread(_content, kind, members)


def _content(kind: str, members: dict[str, Any]) -> bytes:
    if kind == JSON:
        return _dump(members)
    if kind == NPY:
        return npy.write(members["images"].pixels() if "images" in members else members["latents"])
    return images.encode(images.grid(members["images"].pixels()), FORMATS[kind])


def _dump(members: dict[str, Any]) -> bytes:
    """Return JSON; arrays become lists, and what is not finite becomes null."""
    return orjson.dumps(members, default=_base64, option=DUMP)


def _base64(value: object) -> list[str]:
    if isinstance(value, Pictures):
        return [base64.b64encode(images.encode(one, "png")).decode() for one in value.pixels()]
    raise TypeError(f"{type(value).__name__} has no place in an answer")


def _headers(members: dict[str, Any]) -> dict[str, str]:
    """Return the short members as X-Latent-* headers; text is percent-encoded, lists are comma-separated."""
    headers = {}
    for name in HEADER_MEMBERS:
        if members.get(name) is not None:
            value = members[name]
            text = ",".join(_header_text(one) for one in (value if isinstance(value, list) else [value]))
            if len(text) <= MAX_HEADER_BYTES:
                headers[header_name(name)] = text
    return headers


def _header_text(value: object) -> str:
    return quote(str(value), safe=" /!#$&'()*+.:;=?@[]^_`{|}~-")
