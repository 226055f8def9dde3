"""The same work in each server's words: request bodies for /encode and /generate, single and in bulk."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.serving.networks import CLASSES
from benchmarks.serving.work import BULK, FOLDER

DRAWS = 1000
"""Different seeds asked for in turn, and images of one bulk request."""

Writer = Callable[[Any], dict[str, Any]]

_PLAIN: dict[str, Writer] = {
    "encode": lambda text: {"image": text},
    "generate": lambda seed: {"label": seed % CLASSES, "seed": seed},
}
DIALECTS: dict[str, dict[str, Writer]] = {
    "plain": _PLAIN,
    "litserve": _PLAIN,
    "latent": {
        "encode": lambda text: {"images": [text]},
        "generate": lambda seed: {"label": seed % CLASSES, "seed": seed},
    },
    "bentoml": {
        "encode": lambda text: {"images": [text]},
        "generate": lambda seed: {"draws": [{"label": seed % CLASSES, "seed": seed}]},
    },
}
"""By the server's dialect and the route: an image's base64 or a seed -> the JSON body."""


def bodies(dialect: str, route: str) -> list[str]:
    """Return the bodies of single requests: real images, or seeds from 0 on."""
    texts = (FOLDER / "bodies.txt").read_text().split()
    asked: list[Any] = texts if route == "encode" else list(range(DRAWS))
    body = DIALECTS[dialect][route]
    return [json.dumps(body(one), separators=(",", ":")) for one in asked]


def write(dialect: str, route: str) -> Path:
    """Write the bodies, one per line, and return the file."""
    path = FOLDER / f"{dialect}-{route}.jsonl"
    path.write_text("".join(f"{body}\n" for body in bodies(dialect, route)))
    return path


def bulk_encode(dialect: str) -> tuple[str, bytes, str, int]:
    """Return path, body, content type and images of one request to encode many images."""
    array = (FOLDER / "batch.npy").read_bytes()
    if dialect == "latent":
        return "/encode", array, "application/x-npy", BULK
    if dialect in ("bentoml", "litserve"):
        return (
            "/encode_batch",
            json.dumps({"npy": b64encode(array).decode()}).encode(),
            "application/json",
            BULK,
        )
    return "/encode_batch", array, "application/octet-stream", BULK


def bulk_generate(dialect: str) -> tuple[str, bytes, str, int]:
    """Return path, body, content type and images of one request to draw many."""
    path = "/generate" if dialect == "latent" else "/generate_batch"
    return path, json.dumps({"label": 3, "seed": 0, "count": DRAWS}).encode(), "application/json", DRAWS
