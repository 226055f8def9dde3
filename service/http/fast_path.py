"""Routes that take the request and return the response themselves, and the short way to them.

    AccessLog -> RequestLimits -> FastPath -> endpoint(request) -> Response
                                 |-> FastAPI's router -> RawRoute -> endpoint(request) -> Response

FastAPI's own reading of parameters and bodies costs more than a small model's run, and knows one content
type per route; here `request_bodies` does it. FastAPI still documents these routes. Its router costs as much
again: a path that is spelled out whole needs none, since a look-up finds its route. Parameters in a path,
unknown paths and other methods go the long way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send


class FastPath:
    """Answers the plain routes of some routers whose paths have no parameters."""

    def __init__(self, app: ASGIApp, routers: Iterable[APIRouter]) -> None:
        self._app = app
        self._routes = {
            (method, route.path): route
            for router in routers
            for route in router.routes
            if isinstance(route, RawRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request, or pass it on."""
        answer = self._answer_head if scope.get("method") == "HEAD" else self._answer
        return answer(scope, receive, send)

    async def _answer_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD as GET is; the server omits the body."""
        inner = {**scope, "method": "GET"}
        try:
            await self._answer(inner, receive, send)
        finally:
            scope["route"] = inner.get("route")  # for log and metrics

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        response = await route.endpoint(Request(scope, receive))
        await response(scope, receive, send)


class RawRoute(APIRoute):
    """A route whose endpoint is called with the request and nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return cast(Callable[[Request], Coroutine[Any, Any, Response]], self.endpoint)


def raw_router(tag: str) -> APIRouter:
    """Return a router of plain routes; they are listed under `tag`."""
    return APIRouter(route_class=RawRoute, tags=[tag], default_response_class=Response)
