"""Images in whichever form a request sends them: the Content-Type decides who reads them.

    application/json       everything in the body
    image/png, jpeg, webp  the body is one image; options in the query
    multipart/form-data    images are the parts named `images` or alike; options are parts, or in the query
    application/x-npy      the body is one array of images; options in the query
    application/zip        the body is an archive of images; options in the query
    application/x-ndjson   the body is one JSON object a line, read as they come; options in the query

Clients name files in many ways, or not at all: of an image, an array and an archive the bytes decide. Options
obey the same schema wherever they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from service.api import compression, dependencies
from service.api.image_lines import ImageLines
from service.api.request_bodies import (
    OCTETS,
    check_count,
    media_type,
    parse,
    read,
    read_some,
    refuse_query,
    unreadable,
)
from service.api.requests import ImagesRequest, Options
from service.api.uploads import Upload, check_axes
from service.api.validation import from_form, parse_options
from service.errors import InvalidField, UnsupportedMediaType
from service.http.content_negotiation import JSON, NDJSON, NPY, ZIP
from service.media import image_headers, multipart, npy, zip_archives
from service.runtime.off_loop import run_by_size

FORM = "multipart/form-data"
FILES = ("image/png", "image/jpeg", "image/webp")

Chosen = TypeVar("Chosen", bound=Options)
Read = tuple[Options, Upload | ImageLines]
Reader = Callable[[Request, type[Options], type[ImagesRequest]], Awaitable[Read]]
FileReader = Callable[[Request, bytes], Awaitable[Upload]]


async def read_images(
    request: Request, options: type[Chosen], body: type[ImagesRequest]
) -> tuple[Chosen, Upload | ImageLines]:
    """Return what is asked, and the images. `body` is `options` with the images, as JSON has both.

    Raises:
        UnsupportedMediaType, BadRequest, BodyTooLarge, InvalidField: it cannot be read, or breaks the schema.
    """
    asked, images = await READERS[media_type(request, READERS)](request, options, body)
    if isinstance(images, Upload):
        check_count(images.count, dependencies.settings(request).max_images, "images")
    return cast(Chosen, asked), images


async def _from_json(request: Request, _: type[Options], body: type[ImagesRequest]) -> Read:
    refuse_query(request)
    parsed = await parse(body, await read(request))
    return cast(Options, parsed), Upload(parsed.images)


async def _from_form(request: Request, options: type[Options], _: type[ImagesRequest]) -> Read:
    raw, limit = await read(request), dependencies.settings(request).max_images
    form = await run_by_size(len(raw), multipart.read, raw, request.headers["content-type"], limit)
    if not form.images:
        raise InvalidField.at(("body", "images"), "the form needs at least one part named images")
    given = [*request.query_params.multi_items(), *from_form(options, form.options)]
    return parse_options(options, given, "form"), Upload(form.images)


async def _from_lines(request: Request, options: type[Options], _: type[ImagesRequest]) -> Read:
    if compression.encoding_of(request) != "identity":
        raise UnsupportedMediaType("Lines are read as they come; send them without Content-Encoding.")
    return _query(request, options), ImageLines(request)  # of which nothing is read yet


async def _from_bytes(request: Request, options: type[Options], _: type[ImagesRequest]) -> Read:
    asked, raw = _query(request, options), await read_some(request)
    kind = _kind_of(raw) or media_type(request, READERS)
    if kind == OCTETS:
        raise unreadable(request, READERS)
    return asked, await FILE_READERS[kind](request, raw)


def _kind_of(raw: bytes) -> str | None:
    """Return the media type of a file by its bytes, one for all images; None where they are not known."""
    if zip_archives.is_archive(raw):
        return ZIP
    if npy.is_array(raw):
        return NPY
    return FILES[0] if image_headers.format_of(raw) else None


async def _from_archive(request: Request, raw: bytes) -> Upload:
    settings = dependencies.settings(request)
    limits = settings.max_images, settings.max_body_bytes
    entries = await run_by_size(len(raw), zip_archives.read, raw, *limits)
    return Upload([content for _, content in entries], names=[name for name, _ in entries])


async def _from_array(_: Request, raw: bytes) -> Upload:
    pixels = await run_by_size(len(raw), npy.read, raw, np.uint8, (3, 4))
    check_axes(pixels.shape, ("body",))
    return Upload(cast(NDArray[np.uint8], pixels))


async def _from_file(_: Request, raw: bytes) -> Upload:
    return Upload([raw])


def _query(request: Request, options: type[Options]) -> Options:
    return parse_options(options, request.query_params.multi_items(), "query")


FILE_READERS: dict[str, FileReader] = {
    **dict.fromkeys(FILES, _from_file),
    NPY: _from_array,
    ZIP: _from_archive,
}
READERS: dict[str, Reader] = {
    JSON: _from_json,
    **dict.fromkeys(FILES, _from_bytes),
    FORM: _from_form,
    NPY: _from_bytes,
    ZIP: _from_bytes,
    NDJSON: _from_lines,
    OCTETS: _from_bytes,
}
