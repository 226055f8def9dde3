"""The seeds of one request's images: `seed + i`, each good for drawing its image again alone."""

from __future__ import annotations

import secrets

from service.errors import InvalidField
from service.latent_space.sampling import MAX_SEED


def first(seed: int | None, count: int, where: str = "body") -> int:
    """Return the seed of the first image: `seed`, or a drawn one; `where` says where it was given.

    Raises:
        InvalidField: the seed of the last of `count` images would exceed `MAX_SEED`.
    """
    if seed is None:
        return secrets.randbelow(MAX_SEED // 2)  # with room behind it for any number of images
    if seed + count - 1 > MAX_SEED:
        raise InvalidField.at((where, "seed"), f"with {count} images at most {MAX_SEED - count + 1}")
    return seed


def spread(seed: int | None, count: int, where: str = "body") -> list[int]:
    """Return one seed per image, from `first` on.

    Raises:
        InvalidField: the last one would exceed `MAX_SEED`.
    """
    start = first(seed, count, where)
    return list(range(start, start + count))
