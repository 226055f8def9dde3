"""What the service shows to the outside: its routes, methods and media types, one a line.

    python tests/support/public_surface.py > tests/repository/surface.txt

writes the list that tests/repository/test_surface.py compares, to be read before it is committed.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute, Mount, Route

sys.path.insert(0, str(Path(__file__).parents[2]))

from service.api import openapi
from service.app import create_app
from service.settings import Settings


def lines() -> Iterator[str]:
    """Yield every route as `POST /decode application/json -> application/json, image/png`."""
    app = create_app(Settings())
    paths = openapi.document(app)["paths"]
    for route in routes(app.routes):
        if isinstance(route, Mount):
            yield f"MOUNT {route.path}"
        elif isinstance(route, Route):
            for method in sorted(route.methods or ()):
                yield f"{method} {route.path} {_media_types(paths.get(route.path, {}).get(method.lower()))}"
        else:
            yield f"{type(route).__name__}"


def routes(found: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Yield routes, also those of routers that FastAPI keeps as they are."""
    for route in found:
        inner = getattr(route, "original_router", None)
        yield from routes(inner.routes) if inner else (route,)


def _media_types(operation: dict[str, Any] | None) -> str:
    if operation is None:
        return "not in the document"
    taken = sorted(operation.get("requestBody", {}).get("content", {}))
    given = {kind for answer in operation["responses"].values() for kind in answer.get("content", {})}
    return f"{', '.join(taken)} -> {', '.join(sorted(given))}".strip()


if __name__ == "__main__":
    for line in sorted(lines()):
        print(line)
