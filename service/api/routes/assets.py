"""The scripts, styles and images of our pages, sent in pieces: of what nobody reads only one is held."""

from __future__ import annotations

from typing import Any

from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

PIECE_BYTES = 1 << 14


class Assets(StaticFiles):
    """The files of one folder."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Return a file, or that it has not changed."""
        response = super().file_response(*arguments, **options)
        if isinstance(response, FileResponse):
            response.chunk_size = PIECE_BYTES
        return response
