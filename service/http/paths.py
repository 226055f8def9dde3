"""The path of a request as its route knows it: without a proxy's prefix, without a slash at the end.

    worker -> Paths -> Tracing, AccessLog -> RequestLimits -> routes

Everything after it, the check of keys included, sees the same path. A proxy that strips its prefix needs no
setting: our pages link to everything relative to their own address.
"""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send


class Paths:
    """Takes a prefix off the paths that have it, and one slash off the end of any."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one request; lifespan messages pass through."""
        if scope["type"] == "http":
            scope["path"] = self._known(scope["path"])
        return self._app(scope, receive, send)

    def _known(self, path: str) -> str:
        if self._prefix and f"{path}/".startswith(f"{self._prefix}/"):
            path = path[len(self._prefix) :]
        return path.removesuffix("/") or "/"
