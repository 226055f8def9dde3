"""The playground: a page without a build step, which asks nobody but this service. / leads there."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.responses import FileResponse, RedirectResponse

from service.api.routes.assets import Assets, last_segment, page_headers
from service.http.fast_path import raw_router

PAGE = "/playground"
FOLDER = Path(__file__).parents[2] / "playground"
POLICY = "default-src 'self'; img-src 'self' data: blob:; connect-src 'self' blob:"
"""What the page may load: nothing from anywhere else, whatever ends up in it."""

router = raw_router("playground")


@router.get("/", include_in_schema=False)
async def root(request: Request) -> Response:
    """Lead people to the playground; the link is relative, since there may be a prefix before the path."""
    return RedirectResponse(f"{last_segment(request)}{PAGE}".removeprefix("/"))


@router.get(PAGE, include_in_schema=False)
async def page(request: Request) -> Response:
    """Return the page; its scripts and styles lie below it."""
    if not last_segment(request):  # its links would lead elsewhere
        return RedirectResponse(f"..{PAGE}")
    return FileResponse(FOLDER / "index.html", headers=page_headers(request, POLICY))


def mount_assets(app: FastAPI) -> None:
    """Serve the page's scripts, styles and sample images."""
    app.mount(PAGE, Assets(directory=FOLDER))
