"""Access to the headers of a request in its ASGI scope."""

from __future__ import annotations

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the value of a request's header; `name` is in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None
