"""Requests of every kind, good and bad, for a service with the models of tiny_shipped_checkpoints.py."""

import base64
import io
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from support.image_files import file, photo
from support.load_clients import request


class Mixed(NamedTuple):
    """One request, and the statuses that are right for it."""

    content: bytes
    statuses: tuple[int, ...]


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _kinds() -> Iterator[Mixed]:
    dice = np.random.default_rng(0)
    image = base64.b64encode(file(photo(28, 28))).decode()
    large = file(photo(640, 480), "JPEG", quality=80)
    rows = dice.normal(size=(3, 16)).tolist()

    def post(path: str, body: Any, *statuses: int, **headers: str) -> Mixed:
        return Mixed(request(path, body, headers), statuses or (200,))

    def raw(path: str, body: bytes, kind: str, *statuses: int) -> Mixed:
        return post(path, body, *statuses, content_type=kind)

    for seed in range(8):
        yield post("/generate", {"seed": seed, "count": 1 + seed, "label": seed})
        yield post("/decode", {"latents": rows[: 1 + seed % 3]})
    yield post("/generate", {"count": 40})
    yield post("/generate", {"count": 4}, accept="image/png")
    yield post("/encode", {"images": [image] * 3})
    yield post("/encode", {"images": [image], "sample": True})
    yield raw("/encode", file(photo(28, 28, "L")), "image/png")
    yield raw("/encode", file(photo(60, 40), "WEBP"), "image/webp")
    yield raw("/encode", large, "image/jpeg")
    yield raw("/encode", _npy(dice.integers(0, 256, (8, 28, 28), np.uint8)), "application/x-npy")
    yield raw("/decode", _npy(dice.normal(size=(20, 16)).astype(np.float32)), "application/x-npy")
    yield post("/reconstruct", {"images": [image] * 2})
    yield raw("/translate?to=boots&cycle=true", file(photo(28, 28)), "image/png")
    for path in (
        "/models",
        "/models/fashion-vae",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/openapi.json",
    ):
        yield Mixed(request(path), (200,))
    yield Mixed(request("/nowhere"), (404,))
    yield Mixed(request("/models/nobody"), (404,))
    yield post("/generate", {"model": "nobody"}, 404)
    yield post("/encode", {"model": "bags-boots", "images": [image]}, 409)
    yield post("/generate", {}, 406, accept="text/html")
    yield post("/generate", b"{}", 415, content_type="text/plain")
    yield post("/generate", b'{"seed":', 400)
    yield post("/generate", {"seed": -1}, 422)
    yield post("/generate", {f"field {i}": i for i in range(100)}, 422)
    yield post("/decode", {"latents": [[0.0]]}, 422)
    yield raw("/encode", large[: len(large) // 2], "image/jpeg", 422)
    yield raw("/encode", b"GIF89a", "image/png", 415)


KINDS = list(_kinds())


def mixed(seed: int) -> Iterator[Mixed]:
    """Yield requests without end, the same for a seed every time."""
    dice = random.Random(seed)
    while True:
        yield dice.choice(KINDS)
