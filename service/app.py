"""The application: wires the parts together and holds no logic of its own.

worker -> create_app -> middleware -> fast_path -> routes
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from service.api import rendering
from service.api.routes import (
    admin,
    compare,
    decode,
    docs,
    drift,
    encode,
    generate,
    health,
    interpolate,
    latent_map,
    models,
    neighbours,
    playground,
    reconstruct,
    translate,
)
from service.comparison.comparer import Comparer
from service.comparison.drift import Drift, Windows
from service.coordination.desired_state import Participant
from service.errors import MethodNotAllowed, NoSuchRoute
from service.http.access_log import AccessLog
from service.http.api_keys import Keys
from service.http.exchange import HeldBytes
from service.http.fast_path import FastPath
from service.http.open_requests import Drain, OpenRequests
from service.http.paths import Paths
from service.http.request_limits import RequestLimits
from service.http.tracing import Tracing
from service.observability import trace_exporter
from service.protocols.inference import routes as inference
from service.protocols.openai import routes as openai
from service.protocols.remote_vae import routes as remote_vae
from service.repository.repository import Repository
from service.settings import Settings
from service.version import VERSION

DESCRIPTION = """
Images in, latents out, and back: encode, decode, generate and translate with the served checkpoints.

Images are sent as JSON (base64), as one raw image body, as multipart parts or as a NumPy array; `Accept`
chooses the form of the answer. Refusals are `application/problem+json` (RFC 9457).
"""

EXPOSED_HEADERS = (
    *map(rendering.header_name, rendering.HEADER_MEMBERS),
    "X-Request-Id",
    "Retry-After",
    "Inference-Header-Content-Length",
)
"""What scripts of pages of other origins may read besides the body."""

PREFLIGHT_S = 600
"""Time for which a browser need not ask again what it may send."""


def create_app(
    settings: Settings,
    desired: Participant | None = None,
    windows: Windows | None = None,
    *,
    cores: int | None = None,
) -> FastAPI:
    """Return the application; its models are loaded when it starts.

    `desired` is this worker's part in what all serve, `windows` what they share of live latents. Without
    `cores` it uses all that the process may.
    """
    app = FastAPI(
        title="latent-service",
        summary="An HTTP API over the latent space of your images.",
        description=DESCRIPTION,
        version=VERSION,
        lifespan=_lifespan,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        generate_unique_id_function=lambda route: route.name,
        exception_handlers={HTTPException: _raise_ours},
    )
    app.state.settings = settings
    app.state.drain = Drain()
    app.state.keys = Keys(settings)
    app.state.open_requests = OpenRequests()
    app.state.held = HeldBytes(settings.max_held_bytes)
    app.state.repository = Repository(settings, desired, cores)
    app.state.comparer = Comparer()
    app.state.windows = windows or Windows(Path(os.devnull), 0, 0, 1)
    app.state.drift = Drift(app.state.windows, app.state.comparer)
    latent_space = (encode, decode, reconstruct, generate, interpolate, neighbours, compare)
    parts = (*latent_space, translate, models, latent_map, drift, health, admin, docs, playground)
    protocols = (inference, openai, remote_vae)
    routers = [part.router for part in (*parts, *protocols)]
    for router in routers:
        app.include_router(router)
    app.add_middleware(FastPath, routers=routers)
    app.add_middleware(
        RequestLimits,
        settings=settings,
        keys=app.state.keys,
        open_requests=app.state.open_requests,
        held=app.state.held,
    )
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=EXPOSED_HEADERS,
            max_age=PREFLIGHT_S,
        )
    app.add_middleware(AccessLog, drain=app.state.drain, log_requests_share=settings.log_requests_share)
    app.state.exporter = trace_exporter.start()
    if app.state.exporter:
        app.add_middleware(Tracing, tracer=app.state.exporter.tracer)
    app.add_middleware(Paths, prefix=settings.root_path)
    docs.mount_assets(app)
    playground.mount_assets(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    await app.state.repository.start()
    every_s = app.state.settings.drift_interval_s
    watching = asyncio.create_task(app.state.drift.keep_watching(app.state.repository, every_s))
    try:
        yield
    finally:
        watching.cancel()
        await app.state.repository.stop()
        app.state.comparer.stop()
        if app.state.exporter:
            await app.state.exporter.stop()


async def _raise_ours(request: Request, error: Exception) -> Response:
    """Raise the router's own refusals as ours, which `RequestLimits` answers like all others.

    OPTIONS is not refused: the answer lists the methods of a path.
    """
    if not isinstance(error, HTTPException) or error.status_code not in (404, 405):
        raise error
    if error.status_code == 404:
        raise NoSuchRoute
    method = (error.headers or {}).get("Allow", "GET")  # files take GET, and do not say so
    allow = {"Allow": "GET, HEAD" if method == "GET" else method}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=allow)
    raise MethodNotAllowed(headers=allow)
