"""Answers in the media type that was asked for.

    Accept -> negotiate -> AnswerFormat;  AnswerFormat, members -> render -> bytes

Formats that cannot hold the other members have the short ones in headers, `X-Latent-Seeds: 7,8,9`; an archive
has them in a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from starlette.requests import Request

from service.api import ndjson
from service.api.payload import Members, dump
from service.http.content_negotiation import JSON, NDJSON, NPY, ZIP, choose, media_type_of, quality
from service.media import images, npy, zip_archives
from service.media.images import Format

IMAGE_FILES: dict[str, Format] = {"image/png": "png", "image/webp": "webp", "image/jpeg": "jpeg"}
WITH_QUALITY = ("image/webp", "image/jpeg")
OF_IMAGES = (JSON, *IMAGE_FILES, NPY, ZIP, NDJSON)
OF_LATENTS = (JSON, NPY, NDJSON)

HEADER_MEMBERS = ("model", "version", "seeds", "labels", "from", "to")
MAX_HEADER_BYTES = 4096
"""A longer list is left out: common clients give up at 8 to 16 KiB of headers in all."""


class AnswerFormat(NamedTuple):
    """What to answer in."""

    media_type: str
    quality: int | None
    """Of JPEG and WebP, 1 to 100; None is nearly lossless JPEG, and lossless WebP."""


def negotiate(request: Request, offered: Sequence[str]) -> AnswerFormat:
    """Return what to answer in; a body of lines is answered in lines.

    Raises:
        NotAcceptable: the client takes none of `offered`.
        InvalidField: the quality that it asks for is not one.
    """
    accept = ",".join(request.headers.getlist("accept"))
    if NDJSON in offered and media_type_of(request.headers.get("content-type", "")) == NDJSON:
        offered = (NDJSON,)
    chosen = choose(accept, offered)
    return AnswerFormat(chosen, quality(accept, chosen) if chosen in WITH_QUALITY else None)


def render(form: AnswerFormat, members: Members) -> bytes:
    """Return the members of an answer in one of the formats that were offered for it."""
    media_type = form.media_type
    if media_type == JSON:
        return dump(members)
    if media_type == NDJSON:
        lines = ndjson.of_images(members, 0)
        return b"".join([*lines, ndjson.of_end(members, len(lines))])
    if media_type == ZIP:
        return _archive(members)
    if media_type == NPY:
        return npy.write(members["images"].pixels() if "images" in members else members["latents"])
    return images.encode(images.grid(members["images"].pixels()), IMAGE_FILES[media_type], form.quality)


def _archive(members: Members) -> bytes:
    """Return a PNG of each image, named by its seed or else its number, and the other members."""
    names = members.get("seeds") or range(len(members["images"].images))
    files = [(f"{name}.png", file) for name, file in zip(names, members["images"].files(), strict=True)]
    rest = {name: value for name, value in members.items() if name != "images"}
    cycle = rest.get("cycle")
    if cycle:
        files += [(f"cycle/{i}.png", file) for i, file in enumerate(cycle["images"].files())]
        rest["cycle"] = {name: value for name, value in cycle.items() if name != "images"}
    return zip_archives.write([*files, (zip_archives.DESCRIPTION, dump(rest))])


def header_name(member: str) -> str:
    """Return the header that carries a member of the JSON answer in other formats."""
    return f"X-Latent-{member.title()}"


def headers(members: Members) -> dict[str, str]:
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
