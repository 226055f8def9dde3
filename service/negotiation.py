"""Which of the offered media types an Accept header asks for (RFC 9110, section 12.5.1).

Accept -> choose -> a media type -> answers
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from service.errors import NotAcceptable

MAX_ACCEPT = 1024
"""Characters of Accept that are looked at; browsers send about 150."""


class _Range(NamedTuple):
    """One media range of an Accept header, such as `image/*;q=0.8`."""

    pattern: str
    quality: float

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


@lru_cache(maxsize=256)
def _best(accept: str, offered: tuple[str, ...]) -> str | None:
    ranges = [_range(item) for item in accept.split(",")]
    best: tuple[float, int] = (0.0, 0)
    chosen = None
    for media_type in offered:
        closeness, quality = max((r.specificity(media_type), r.quality) for r in ranges)
        if closeness and quality and (quality, closeness) > best:
            best, chosen = (quality, closeness), media_type
    return chosen


def _range(item: str) -> _Range:
    """Read one media range; parameters other than q are ignored, a q that cannot be read is 0."""
    pattern, *parameters = (part.strip().lower() for part in item.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            quality = _quality(value.strip())
    return _Range(pattern, quality)


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
