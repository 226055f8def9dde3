"""Class names and indices: what callers say, what graphs take."""

from __future__ import annotations

from collections.abc import Sequence

from service.errors import InvalidField, Location


def index(label: str | int, classes: Sequence[str], loc: Location) -> int:
    """Return the index of the class that `label` names, in any case, or is.

    Raises:
        InvalidField: there is no such class; the known ones are listed.
    """
    if isinstance(label, int):
        if 0 <= label < len(classes):
            return label
    else:
        wanted = label.casefold()
        for i, name in enumerate(classes):
            if name.casefold() == wanted:
                return i
    raise InvalidField.at(loc, f"no such class; known are {', '.join(classes)}, or 0 to {len(classes) - 1}")
