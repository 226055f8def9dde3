"""Writing answers in the media type that was asked for.

    routes -> members (JSON), among them Pictures or latents -> rendering -> HTTP response

Formats that cannot hold the other members have the short ones in headers, `X-Latent-Seeds: 7,8,9`; an archive
has them in a file of its own.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from service.api import dependencies, ndjson
from service.checkpoint.manifest import ImageSpec, Manifest
from service.http.content_negotiation import JSON, NDJSON, NPY, ZIP, choose, media_type_of, quality
from service.media import images, npy, zip_archives
from service.media.images import Format
from service.observability import metrics, traces

FORMATS: dict[str, Format] = {"image/png": "png", "image/webp": "webp", "image/jpeg": "jpeg"}
WITH_QUALITY = ("image/webp", "image/jpeg")
OF_PICTURES = (JSON, *FORMATS, NPY, ZIP, NDJSON)
OF_LATENTS = (JSON, NPY, NDJSON)

HEADER_MEMBERS = ("model", "version", "seeds", "labels", "from", "to")
MAX_HEADER_BYTES = 4096
"""A longer list is left out: common clients give up at 8 to 16 KiB of headers in all."""

DUMP = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS

IN_PLACE_VALUES = 1 << 16
"""Image values that are encoded on the event loop (about 3 ms); more go to a thread."""


Made = TypeVar("Made")


class Kind(NamedTuple):
    """What to answer in."""

    media_type: str
    quality: int | None
    """Of JPEG and WebP, 1 to 100; None is nearly lossless JPEG, and lossless WebP."""


@dataclass(frozen=True)
class Pictures:
    """A graph's images, (N, C, H, W) in the range of `spec`; in JSON a list of base64 PNG."""

    images: NDArray[np.float32]
    spec: ImageSpec

    def pixels(self) -> NDArray[np.uint8]:
        """Return what is shown, (N, H, W) or (N, H, W, 3)."""
        return images.to_pixels(self.images, self.spec)

    def files(self) -> Iterator[bytes]:
        """Yield each as a PNG."""
        return (images.encode(one, "png") for one in self.pixels())

    def __iter__(self) -> Iterator[str]:
        """Yield each as it is in JSON."""
        return (base64.b64encode(file).decode() for file in self.files())


def negotiate(request: Request, offered: Sequence[str]) -> Kind:
    """Return what to answer in; ask first, so that nothing is computed in vain.

    A body of lines is answered in lines.

    Raises:
        NotAcceptable: the caller takes none of `offered`.
        InvalidField: the quality that it asks for is none.
    """
    accept = ",".join(request.headers.getlist("accept"))
    if NDJSON in offered and media_type_of(request.headers.get("content-type", "")) == NDJSON:
        offered = (NDJSON,)
    chosen = choose(accept, offered)
    return Kind(chosen, quality(accept, chosen) if chosen in WITH_QUALITY else None)


def header_name(member: str) -> str:
    """Return the header that carries a member of the JSON answer in other formats."""
    return f"X-Latent-{member.title()}"


def envelope(request: Request, model: Manifest) -> dict[str, Any]:
    """Return the members that every answer of a model has."""
    return {"model": model.name, "version": model.version, "request_id": dependencies.request_id(request)}


async def render(request: Request, kind: Kind, model: Manifest, members: dict[str, Any]) -> Response:
    """Return the answer of a model as `kind`, one of those that were offered."""
    whole = envelope(request, model) | members
    content = await off_loop_if_large(members, lambda: _content(kind, whole))
    is_json = kind.media_type == JSON
    return Response(content, headers=None if is_json else headers(whole), media_type=kind.media_type)


def json(request: Request, members: dict[str, Any]) -> Response:
    """Return an answer that no model has part in."""
    return Response(dump({**members, "request_id": dependencies.request_id(request)}), media_type=JSON)


async def off_loop_if_large(members: dict[str, Any], make: Callable[[], Made]) -> Made:
    """Return what is made of members, in a thread if their pictures take long; the time is kept."""
    started = time.perf_counter()
    shown = members.get("images")
    is_large = shown is not None and shown.images.size > IN_PLACE_VALUES
    made = await asyncio.to_thread(make) if is_large else make()
    metrics.POSTPROCESS.end(started, traces.recorded())
    return made


def _content(kind: Kind, members: dict[str, Any]) -> bytes:
    media_type = kind.media_type
    if media_type == JSON:
        return dump(members)
    if media_type == NDJSON:
        found = ndjson.of_images(members, 0, dump)
        return b"".join([*found, ndjson.of_end(members, len(found), dump)])
    if media_type == ZIP:
        return _archive(members)
    if media_type == NPY:
        return npy.write(members["images"].pixels() if "images" in members else members["latents"])
    return images.encode(images.grid(members["images"].pixels()), FORMATS[media_type], kind.quality)


def _archive(members: dict[str, Any]) -> bytes:
    """Return a PNG for each picture, named by its seed or else its number, and the other members."""
    names = members.get("seeds") or range(len(members["images"].images))
    pictures = [(f"{name}.png", file) for name, file in zip(names, members["images"].files(), strict=True)]
    rest = {name: value for name, value in members.items() if name != "images"}
    cycle = rest.get("cycle")
    if cycle:
        pictures += [(f"cycle/{i}.png", file) for i, file in enumerate(cycle["images"].files())]
        rest["cycle"] = {name: value for name, value in cycle.items() if name != "images"}
    return zip_archives.write([*pictures, (zip_archives.DESCRIPTION, dump(rest))])


def dump(members: dict[str, Any]) -> bytes:
    """Return JSON; arrays become lists, and what is not finite becomes null."""
    return orjson.dumps(members, default=_list, option=DUMP)


def _list(value: object) -> list[str]:
    if isinstance(value, Pictures):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")


def headers(members: dict[str, Any]) -> dict[str, str]:
    """Return the short members as X-Latent-* headers; text is percent-encoded, lists are comma-separated."""
    found = {}
    for name in HEADER_MEMBERS:
        if members.get(name) is not None:
            value = members[name]
            text = ",".join(_header_text(one) for one in (value if isinstance(value, list) else [value]))
            if len(text) <= MAX_HEADER_BYTES:
                found[header_name(name)] = text
    return found


def _header_text(value: object) -> str:
    return quote(str(value), safe=" /!#$&'()*+.:;=?@[]^_`{|}~-")
