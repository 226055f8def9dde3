"""Routes that take the request and return the response themselves.

    FastAPI's router -> PlainRoute -> endpoint(request) -> Response

FastAPI's own reading of parameters and bodies costs more than a small model's run, and knows one content
type per route; here `bodies` does it. FastAPI still documents these routes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute


class PlainRoute(APIRoute):
    """A route whose endpoint is called with the request and nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint as it is."""
        return cast(Callable[[Request], Coroutine[Any, Any, Response]], self.endpoint)


def router(tag: str) -> APIRouter:
    """Return a router of plain routes; they are listed under `tag`."""
    return APIRouter(route_class=PlainRoute, tags=[tag], default_response_class=Response)
