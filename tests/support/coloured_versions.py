"""Versions of a checkpoint that each paint a colour of their own, and clients that look whether they do.

load = Load(url, clients=4, pause_s=0.08)
running = asyncio.create_task(load.run())
...
load.going = False
await running
"""

import asyncio
import base64
import io
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from support.tiny_checkpoints import write_tiny

DECODE = {"latents": [[0.0, 0.0, 0.0, 0.0]]}


def colour_of(version: int) -> float:
    """Return the `colour` of `write_tiny` for a version up to 255."""
    return version / 255


def write_version(tmp_path: Path, version: int, **options: Any) -> Path:
    """Publish a version in `tmp_path / "checkpoints"`."""
    described = {"operations": ("decode",), "default_for": ("decode",), "colour": colour_of(version)}
    return write_tiny(tmp_path / "checkpoints", "tiny", version, **described | options)


def write_bad_version(tmp_path: Path, version: int) -> None:
    """Publish a version that has to be refused."""
    folder = write_version(tmp_path / "elsewhere", version)
    (folder / "decode.onnx").write_bytes(b"broken")
    shutil.move(folder, tmp_path / "checkpoints" / "tiny" / str(version))


def painted(image: str) -> int:
    """Return the one grey level of a base64 PNG: the version that painted it."""
    with Image.open(io.BytesIO(base64.b64decode(image))) as opened:
        pixels = np.asarray(opened)
    assert pixels.min() == pixels.max()
    return int(pixels.max())


class Load:
    """Clients that ask all the time and send nothing twice, and what they were told."""

    def __init__(self, url: str, clients: int, pause_s: float) -> None:
        """Ask the default model; each client waits `pause_s` between an answer and its next request."""
        self._url = url
        self._clients = clients
        self._pause_s = pause_s
        self.sent = self.wrong = 0
        self.failures: list[str] = []
        self.versions: set[int] = set()
        self.going = True

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=60) as client:
            await asyncio.gather(*(self._ask(client) for _ in range(self._clients)))

    async def _ask(self, client: httpx.AsyncClient) -> None:
        while self.going:
            self.sent += 1
            try:
                self._look(await client.post("/decode", json=DECODE))
            except httpx.TransportError as error:
                self.failures.append(repr(error))
            await asyncio.sleep(self._pause_s)

    def _look(self, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            self.failures.append(f"{answer.status_code} {answer.text}")
            return
        version = answer.json()["version"]
        self.versions.add(version)
        if painted(answer.json()["images"][0]) != version:
            self.wrong += 1
