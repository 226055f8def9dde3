"""The page of all settings, made of their code: `python -m tools.settings_page > docs/settings.md`.

settings -> page -> docs/settings.md, which a test compares with this
"""

from __future__ import annotations

import sys
from typing import Any

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from service.settings import SECRETS, Settings

HEAD = """\
# Settings

Made by `python -m tools.settings_page > docs/settings.md`; a test compares the two.

A setting is an environment variable, or a flag of `python -m service`, which wins over it. An empty variable
counts as not set. A value that is not allowed ends the start with one line that names it. Keys have no flags:
other processes can read a command line.

| variable | flag | default | unit | allowed | meaning |
|---|---|---|---|---|---|
"""

UNITS = {
    "s": "seconds",
    "bytes": "bytes",
    "pixels": "pixels",
    "rows": "rows",
    "images": "images",
    "count": "images",
    "connections": "connections",
    "workers": "processes",
    "versions": "versions",
    "share": "of 1",
}
"""By the last word of a setting's name."""


def page() -> str:
    """Return the page in Markdown."""
    return HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def unit(name: str) -> str:
    """Return the unit of a setting, nothing if it has none."""
    return UNITS.get(name.rpartition("_")[2], "")


def _row(name: str, field: FieldInfo) -> str:
    flag = "" if name in SECRETS else f"`--{name.replace('_', '-')}`"
    cells = (
        f"`LATENT_{name.upper()}`",
        flag,
        _default(field.default),
        unit(name),
        _allowed(field),
        (field.description or "").replace("<", "&lt;"),
    )
    return f"| {' | '.join(str(cell) for cell in cells)} |\n"


def _default(value: Any) -> str:
    if value in (None, (), ""):
        return "not set"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(field: FieldInfo) -> str:
    """Return the bounds of a number or the choices of a word."""
    if choices := getattr(field.annotation, "__args__", ()):
        return ", ".join(f"`{choice}`" for choice in choices if isinstance(choice, str))
    bounds = []
    for bound in field.metadata:
        match bound:
            case Gt():
                bounds.append(f"more than {bound.gt}")
            case Ge():
                bounds.append(f"{bound.ge} or more")
            case Le():
                bounds.append(f"{bound.le} or less")
    return ", ".join(bounds)


if __name__ == "__main__":
    sys.stdout.write(page())
