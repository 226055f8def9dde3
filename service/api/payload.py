"""The members of an answer: texts, numbers, arrays and images; and the JSON that they become.

routes -> Members, among them OutputImages -> rendering, ndjson -> dump
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.checkpoint.manifest import ImageSpec
from service.media import images

Members = dict[str, Any]

DUMP = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS


@dataclass(frozen=True)
class OutputImages:
    """A graph's images, (N, C, H, W) in the range of `spec`; in JSON a list of base64 PNG."""

    images: NDArray[np.float32]
    spec: ImageSpec

    def pixels(self) -> NDArray[np.uint8]:
        """Return them as 8-bit pixels, (N, H, W) or (N, H, W, 3)."""
        return images.to_pixels(self.images, self.spec)

    def files(self) -> Iterator[bytes]:
        """Yield each as a PNG."""
        return (images.encode(one, "png") for one in self.pixels())

    def __iter__(self) -> Iterator[str]:
        """Yield each as it is in JSON."""
        return (base64.b64encode(file).decode() for file in self.files())


def dump(members: Members) -> bytes:
    """Return JSON; arrays become lists, and what is not finite becomes null."""
    return orjson.dumps(members, default=_list, option=DUMP)


def _list(value: object) -> list[str]:
    if isinstance(value, OutputImages):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")
