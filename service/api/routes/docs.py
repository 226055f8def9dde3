"""The documentation, with every script and style served from here: /docs, /openapi.json."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import orjson
from fastapi import FastAPI, Request, Response
from starlette.responses import RedirectResponse

from service.api import examples, openapi
from service.api.compression import CompressedResponse
from service.api.routes.assets import NOSNIFF, Assets, last_segment, page_headers
from service.errors import NoSuchRoute
from service.http.fast_path import raw_router

ASSETS = "/docs/assets"
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:"
"""What the page may load; Swagger UI writes styles into its elements."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>latent-service</title>
<link rel="icon" href="docs/assets/favicon.png">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<script src="docs/assets/swagger-ui-bundle.js" defer></script>
<script src="docs/start.js" defer></script>
</head>
<body><div id="swagger-ui"></div></body>
</html>
"""
"""Swagger UI; everything is named relative to the page, which may have a prefix before its path."""

START = """\
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, layout: "BaseLayout" });
"""

router = raw_router("docs")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Return Swagger UI for this service."""
    if not last_segment(request):  # its links would lead elsewhere
        return RedirectResponse("../docs")
    return Response(PAGE, headers=page_headers(request, POLICY), media_type="text/html")


@router.get("/docs/start.js", include_in_schema=False)
async def start(_: Request) -> Response:
    """Return the script that starts it: the page's policy allows none in the page itself."""
    return Response(START, headers=NOSNIFF, media_type="text/javascript")


@router.get("/openapi.json", include_in_schema=False)
async def openapi_json(request: Request) -> Response:
    """Return the OpenAPI document."""
    return CompressedResponse(orjson.dumps(openapi.document(request.app)), media_type="application/json")


@router.get(examples.FOLDER + "/{name}", include_in_schema=False)
async def example(request: Request) -> Response:
    """Return one of the files that the documentation's examples point to."""
    found = examples.files().get(request.path_params["name"])
    if found is None:
        raise NoSuchRoute
    media_type, content = found
    return Response(content, headers=NOSNIFF, media_type=media_type)


def mount_assets(app: FastAPI) -> None:
    """Serve the scripts and styles that the installed package fastapi-offline carries."""
    package = find_spec("fastapi_offline")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("fastapi-offline is not installed; it carries the documentation's scripts")
    app.mount(ASSETS, Assets(directory=Path(package.origin).parent / "static"))
