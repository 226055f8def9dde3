"""The application in this process: asked without a socket, or given a request that was made by hand."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import httpx
from fastapi import FastAPI, Request
from starlette.types import Message

from service.app import create_app
from service.comparison.drift import Windows
from service.http.exchange import Exchange, HeldBytes
from service.repository.repository import Repository
from service.settings import Settings

MAX_IMAGES, MAX_COUNT = 4, 16
REQUEST_ID = "4f1c2a9be07d5c31"

Result = TypeVar("Result")


def make_app(
    checkpoints: Path = Path("nowhere"),
    windows: Windows | None = None,
    **settings: Any,
) -> FastAPI:
    """Return an application with small limits, not started; without `windows` it keeps no latents."""
    limits = {"max_images": MAX_IMAGES, "max_count": MAX_COUNT, "reload_interval_s": 0}
    return create_app(Settings(checkpoints=checkpoints, **{**limits, **settings}), windows=windows)


class InProcess:
    """A started application, asked one request at a time."""

    def __init__(self, checkpoints: Path, **options: Any) -> None:
        """Make it; options as in `make_app`."""
        self.app = make_app(checkpoints, **options)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._lifespan = self.app.router.lifespan_context(self.app)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    def __enter__(self) -> Self:
        self._runner.run(self._lifespan.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._lifespan.__aexit__(kind, error, trace))
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something on the application's event loop."""
        return self._runner.run(work)

    @property
    def models(self) -> Repository:
        """What it serves."""
        repository: Repository = self.app.state.repository
        return repository

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send one request, options as in httpx, and return its answer."""
        return self._runner.run(self._client.request(method, url, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET request."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Send a POST request."""
        return self.request("POST", path, **options)


def make_request(
    *pieces: bytes,
    app: FastAPI | None = None,
    path: str = "/",
    headers: Mapping[str, str] = {},
    query: Mapping[str, str] = {},
    max_bytes: int = 1 << 20,
    max_held_bytes: int = 1 << 20,
) -> Request:
    """Return a request whose body comes in pieces, as the middlewares hand it to a route."""
    waiting = list(pieces or (b"",))

    async def receive() -> Message:
        if not waiting:
            return {"type": "http.disconnect"}
        piece = waiting.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def send(_: Message) -> None:
        raise AssertionError("a route returns its answer")

    exchange = Exchange(receive, send, max_bytes, HeldBytes(max_held_bytes))
    exchange.deadline_s = math.inf
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "path_params": {},
        "raw_path": path.encode(),
        "query_string": urlencode(query).encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "app": make_app() if app is None else app,
        "state": {"request_id": REQUEST_ID, "exchange": exchange},
    }
    return Request(scope, exchange.receive)
