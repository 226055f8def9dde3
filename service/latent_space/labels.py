"""Class names and indices: what callers say, what graphs take."""

from __future__ import annotations

from collections.abc import Sequence

from service.errors import InvalidField, Location


def find(label: str, names: Sequence[str]) -> int | None:
    """Return the index in `names` of the class that `label` names, in any case; None where there is none."""
    wanted = label.casefold()
    return next((i for i, name in enumerate(names) if name.casefold() == wanted), None)


def index(label: str | int, names: Sequence[str], loc: Location) -> int:
    """Return the index in `names` of the class that `label` names, in any case, or is.

    Raises:
        InvalidField: there is no such class; the known ones are listed.
    """
    if isinstance(label, int):
        if 0 <= label < len(names):
            return label
    else:
        found = find(label, names)
        if found is not None:
            return found
    raise InvalidField.at(loc, f"no such class; known are {', '.join(names)}, or 0 to {len(names) - 1}")
