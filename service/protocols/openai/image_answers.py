"""Answers with images, in the shape of OpenAI's images API.

a graph's images, a request of `messages` -> answer -> {"data": [{"b64_json": ...}], ...}
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from service.checkpoint.manifest import ImageSpec
from service.errors import InvalidField
from service.media import images
from service.media.images import Format
from service.protocols.openai.messages import AnswerOptions

Columns = Mapping[str, Sequence[object]]
"""What is said of each image besides its file, by member."""

MAX_PIXELS = 1 << 23
"""Of all images of one answer, eight of 1024 x 1024: a few bytes could ask for gigabytes."""


def check_size(body: AnswerOptions, count: int) -> None:
    """Hold the pixels of all images to a limit where a size is asked for.

    Raises:
        InvalidField: there are more.
    """
    if body.size:
        check_pixels(count, *body.size, field="size")


def check_pixels(count: int, width: int, height: int, *, field: str) -> None:
    """Hold the pixels of `count` images to a limit, where there are several or `field` asks for their size.

    Raises:
        InvalidField: there are more.
    """
    if (count > 1 or field == "size") and count * width * height > MAX_PIXELS:
        raise InvalidField.at(("body", field), f"n images of this size may have at most {MAX_PIXELS} pixels")


async def answer(
    body: AnswerOptions, spec: ImageSpec, made: NDArray[np.float32], members: Columns
) -> Response:
    """Return the answer with a graph's images, (N, C, H, W) in the range of `spec`."""
    size = body.size or (made.shape[3], made.shape[2])
    kind = body.output_format or "png"
    files = await asyncio.to_thread(_files, made, spec, size, kind)
    columns = {"b64_json": files, **members}
    data = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    shown = f"{size[0]}x{size[1]}"
    content = {"created": int(time.time()), "data": data, "output_format": kind, "size": shown}
    return Response(orjson.dumps(content), media_type="application/json")


def _files(made: NDArray[np.float32], spec: ImageSpec, size: tuple[int, int], kind: Format) -> list[str]:
    """Return each image as a base64 file of this width and height."""
    fitted = (images.resize(one, spec, *size) for one in images.to_pixels(made, spec))
    return [base64.b64encode(images.encode(one, kind)).decode() for one in fitted]
