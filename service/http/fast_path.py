"""The short way from a request to a route of ours, past FastAPI's router.

    Observe -> Limit -> Shortcut -> endpoint(request) -> Response
                            |-> FastAPI, for everything else

FastAPI's way to a route takes longer than a small model's run. A path that is spelled out whole needs no
router: a look-up finds its route. Parameters in a path, unknown paths and other methods go the long way.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import ServiceError
from service.http import error_responses
from service.http.plain import PlainRoute


class Shortcut:
    """Answers the plain routes of some routers whose paths have no parameters."""

    def __init__(self, app: ASGIApp, routers: Iterable[APIRouter]) -> None:
        self._app = app
        self._routes = {
            (method, route.path): route
            for router in routers
            for route in router.routes
            if isinstance(route, PlainRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        try:
            response = await route.endpoint(Request(scope, receive))
        except ServiceError as error:
            response = error_responses.response(error, scope)
        await response(scope, receive, send)
