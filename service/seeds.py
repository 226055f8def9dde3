"""The seeds of one request's images: `seed + i`, each good for drawing its image again alone."""

from __future__ import annotations

import secrets

from service.errors import InvalidField
from service.sampling import MAX_SEED


def spread(seed: int | None, count: int, where: str = "body") -> list[int]:
    """Return one seed per image, from `seed` on, or from a drawn one; `where` says where `seed` was given.

    Raises:
        InvalidField: the last one would exceed `MAX_SEED`.
    """
    if seed is None:
        seed = secrets.randbelow(MAX_SEED - count + 2)
    if seed + count - 1 > MAX_SEED:
        raise InvalidField.at((where, "seed"), f"with {count} images at most {MAX_SEED - count + 1}")
    return list(range(seed, seed + count))
