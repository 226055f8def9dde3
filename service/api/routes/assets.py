"""Our pages, and the scripts, styles and images that they load, under a policy that lets in nothing else.

    docs, playground -> page, Assets

Files are sent in pieces: of what nobody reads only one is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from service.api.dependencies import settings

PIECE_BYTES = 1 << 14
NOSNIFF: Mapping[str, str] = {"X-Content-Type-Options": "nosniff"}


class Assets(StaticFiles):
    """The files of one folder."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Return a file, or that it has not changed."""
        response = super().file_response(*arguments, **options)
        response.headers.update(NOSNIFF)
        if isinstance(response, FileResponse):
            response.chunk_size = PIECE_BYTES
        return response


def last_segment(request: Request) -> str:
    """Return what the address in the browser ends with after its last slash, for links relative to it."""
    return bytes(request.scope["raw_path"]).decode("latin-1").rpartition("/")[2]


def page_headers(request: Request, policy: str) -> dict[str, str]:
    """Return the headers of a page: what it may load, by `policy`, and who may show it in a frame."""
    ancestors = " ".join(settings(request).frame_ancestors) or "'none'"
    return {**NOSNIFF, "Content-Security-Policy": f"{policy}; base-uri 'none'; frame-ancestors {ancestors}"}
