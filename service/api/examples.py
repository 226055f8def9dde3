"""The examples of the documentation: each can be sent as it is.

here -> openapi -> /docs; routes/docs serves the files
"""

from __future__ import annotations

import base64
from functools import cache

import numpy as np
from numpy.typing import NDArray

from service.media import images, npy, zip_archives

FOLDER = "/docs/examples"
LATENTS = "latents.npy"
FILES = {
    "image/png": "boot.png",
    "image/jpeg": "boot.jpg",
    "image/webp": "boot.webp",
    "application/x-npy": "boots.npy",
    "application/zip": "boots.zip",
    "application/x-ndjson": "boots.ndjson",
}

BOOT = """
..............
..............
....######....
....######....
....#####.....
....#####.....
....#####.....
....######....
....########..
....##########
....##########
....##.....###
..............
..............
"""


def boot() -> NDArray[np.uint8]:
    """Return the drawing as grey pixels, uint8 (28, 28)."""
    cells = np.array([[200 * (cell == "#") for cell in row] for row in BOOT.split()], np.uint8)
    return cells.repeat(2, axis=0).repeat(2, axis=1)


def boot_base64() -> str:
    """Return the drawing as a base64 PNG."""
    return base64.b64encode(files()["boot.png"][1]).decode()


def latents() -> list[list[float]]:
    """Return one latent of 16 numbers: a little off the prior's mean."""
    return [[0.5, -0.25, 0.0, 0.75, -0.5, 0.25, 0.0, -0.75, 0.5, -0.25, 0.0, 0.75, -0.5, 0.25, 0.0, -0.75]]


@cache
def files() -> dict[str, tuple[str, bytes]]:
    """Return the media type and the bytes of each example file, by name."""
    pixels = boot()
    both = np.stack([pixels, pixels[:, ::-1]])
    left, right = (images.encode(one, "png") for one in both)
    return {
        "boot.png": ("image/png", left),
        "boot.jpg": ("image/jpeg", images.encode(pixels, "jpeg")),
        "boot.webp": ("image/webp", images.encode(pixels, "webp")),
        "boots.npy": ("application/x-npy", npy.write(both)),
        "boots.zip": ("application/zip", zip_archives.write([("left.png", left), ("right.png", right)])),
        "boots.ndjson": ("application/x-ndjson", b"".join(_line(file) for file in (left, right))),
        LATENTS: ("application/x-npy", npy.write(np.array(latents(), np.float32))),
    }


def _line(file: bytes) -> bytes:
    return b'{"image": "%s"}\n' % base64.b64encode(file)
