"""The media types that bodies come in and answers go out in, besides those of single pictures."""

from __future__ import annotations

JSON = "application/json"
NPY = "application/x-npy"
ZIP = "application/zip"
NDJSON = "application/x-ndjson"
"""One JSON object a line; such bodies and answers are streams, which are never held as a whole."""


def of(content_type: str) -> str:
    """Return the media type that a Content-Type header names, without its parameters."""
    return content_type.partition(";")[0].strip().lower()
