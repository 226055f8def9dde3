"""Media types: those that are known, and which of them an Accept header asks for (RFC 9110, 12.5.1).

Accept -> choose -> a media type -> rendering;  image/webp;quality=80 -> quality -> 80
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from service.errors import InvalidField, NotAcceptable

MAX_ACCEPT = 1024
"""Characters of Accept that are looked at; browsers send about 150."""

JSON = "application/json"
NPY = "application/x-npy"
ZIP = "application/zip"
NDJSON = "application/x-ndjson"
"""One JSON object a line; such bodies and answers are streams, which are never held as a whole."""

OTHER_NAMES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
"""Of media types, as some clients ask for them."""


class _Range(NamedTuple):
    """One media range of an Accept header, such as `image/*;q=0.8`."""

    pattern: str
    weight: float
    quality: str | None
    """Of an image, as it was sent."""

    def specificity(self, media_type: str) -> int:
        """Say how closely this range names a media type; 0 is not at all."""
        if self.pattern == media_type:
            return 3
        if self.pattern == f"{media_type.partition('/')[0]}/*":
            return 2
        return int(self.pattern == "*/*")


def choose(accept: str, offered: Sequence[str]) -> str:
    """Return the media type to answer in: the best liked, then the one named closest, then the first.

    Raises:
        NotAcceptable: none of `offered` will do; lists them.
    """
    if accept in {"", "*/*"}:
        return offered[0]
    chosen = _best(accept[:MAX_ACCEPT], tuple(offered))
    if chosen is None:
        raise NotAcceptable(f"Accept allows none of what is offered here: {', '.join(offered)}.")
    return chosen


def quality(accept: str, media_type: str) -> int | None:
    """Return the quality in which an image is wanted, 1 to 100; None where it is not said.

    Raises:
        InvalidField: it is something else.
    """
    if "quality" not in accept.lower():
        return None
    ranges = [_range(item) for item in accept[:MAX_ACCEPT].split(",")]
    text = max(ranges, key=lambda one: (one.specificity(media_type), one.weight)).quality
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:4]) <= 100:
        raise InvalidField.at(("header", "accept"), "quality must be a whole number from 1 to 100")
    return int(text)


@lru_cache(maxsize=256)
def _best(accept: str, offered: tuple[str, ...]) -> str | None:
    ranges = [_range(item) for item in accept.split(",")]
    best: tuple[float, int] = (0.0, 0)
    chosen = None
    for media_type in offered:
        closeness, weight = max((r.specificity(media_type), r.weight) for r in ranges)
        if closeness and weight and (weight, closeness) > best:
            best, chosen = (weight, closeness), media_type
    return chosen


def _range(item: str) -> _Range:
    """Read one media range; parameters other than q and quality are ignored, a q that is none is 0."""
    pattern, *parameters = (part.strip().lower() for part in item.split(";"))
    pairs = (parameter.partition("=") for parameter in parameters)
    values = {name.strip(): value.strip() for name, _, value in pairs}
    return _Range(OTHER_NAMES.get(pattern, pattern), _weight(values.get("q", "1")), values.get("quality"))


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def media_type_of(content_type: str) -> str:
    """Return the media type that a Content-Type header names, without its parameters."""
    return content_type.partition(";")[0].strip().lower()
