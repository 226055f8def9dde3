"""The documentation, with every script and style served from here: /docs, /openapi.json."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from service.api import examples, openapi
from service.api.routes.assets import Assets
from service.errors import NoSuchRoute
from service.http.fast_path import raw_router

ASSETS = "/docs/assets"

router = raw_router("docs")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Return Swagger UI for this service."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=request.app.title,
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
    )


@router.get("/openapi.json", include_in_schema=False)
async def openapi_json(request: Request) -> Response:
    """Return the OpenAPI document."""
    return Response(orjson.dumps(openapi.document(request.app)), media_type="application/json")


@router.get(examples.FOLDER + "/{name}", include_in_schema=False)
async def example(request: Request) -> Response:
    """Return one of the files that the documentation's examples point to."""
    found = examples.files().get(request.path_params["name"])
    if found is None:
        raise NoSuchRoute
    media_type, content = found
    return Response(content, media_type=media_type)


def mount_assets(app: FastAPI) -> None:
    """Serve the scripts and styles that the installed package fastapi-offline carries."""
    package = find_spec("fastapi_offline")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("fastapi-offline is not installed; it carries the documentation's scripts")
    app.mount(ASSETS, Assets(directory=Path(package.origin).parent / "static"))
