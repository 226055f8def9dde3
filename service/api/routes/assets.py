"""Our pages, and the scripts, styles and images that they load, under a policy that lets in nothing else.

    docs, playground -> page, Assets

Files are sent in pieces: of what nobody reads only one is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from service.api.compression import SMALLEST_BYTES, accepted_encoding, compress
from service.api.dependencies import settings
from service.http.headers import header

PIECE_BYTES = 1 << 14
NOSNIFF: Mapping[str, str] = {"X-Content-Type-Options": "nosniff"}


TEXTS = frozenset({".css", ".js", ".svg"})
"""Files that are worth compressing."""

Kept = dict[tuple[Path, str], tuple[str, bytes]]
"""Compressed files by path and encoding, each with the ETag of what was compressed."""


class Assets(StaticFiles):
    """The files of one folder."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)
        self._kept: Kept = {}

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Return a file, or that it has not changed."""
        response = super().file_response(*arguments, **options)
        response.headers.update(NOSNIFF)
        if isinstance(response, FileResponse):
            response.chunk_size = PIECE_BYTES
            return self._packed(response, arguments[2])
        return response

    def _packed(self, file: FileResponse, scope: Scope) -> Response:
        """Return a text as its client takes it; a small one, or a part of one, comes as it is."""
        if Path(file.path).suffix not in TEXTS or int(file.headers["content-length"]) < SMALLEST_BYTES:
            return file
        file.headers.add_vary_header("Accept-Encoding")
        encoding = accepted_encoding(scope)
        if encoding is None or header(scope, b"range") is not None:
            return file
        return _PackedFile(file, encoding, self._kept)


class _PackedFile(Response):
    """A file that is compressed when it is first asked for, and kept so."""

    def __init__(self, file: FileResponse, encoding: str, kept: Kept) -> None:
        super().__init__(headers=file.headers)
        self._path, self._encoding, self._kept = Path(file.path), encoding, kept
        self._etag = file.headers["etag"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it."""
        content = await self._content()
        del self.headers["accept-ranges"]  # of the bytes as they are
        self.headers["etag"] = f"W/{self._etag}"
        self.headers["content-encoding"] = self._encoding
        self.headers["content-length"] = str(len(content))
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for at in range(0, len(content) if scope["method"] == "GET" else 0, PIECE_BYTES):
            piece = content[at : at + PIECE_BYTES]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def _content(self) -> bytes:
        place = self._path, self._encoding
        etag, content = self._kept.get(place, ("", b""))
        if etag != self._etag:
            content = await compress(await asyncio.to_thread(self._path.read_bytes), self._encoding)
            self._kept[place] = self._etag, content
        return content


def last_segment(request: Request) -> str:
    """Return what the address in the browser ends with after its last slash, for links relative to it."""
    return bytes(request.scope["raw_path"]).decode("latin-1").rpartition("/")[2]


def page_headers(request: Request, policy: str) -> dict[str, str]:
    """Return the headers of a page: what it may load, by `policy`, and who may show it in a frame."""
    ancestors = " ".join(settings(request).frame_ancestors) or "'none'"
    return {**NOSNIFF, "Content-Security-Policy": f"{policy}; base-uri 'none'; frame-ancestors {ancestors}"}
