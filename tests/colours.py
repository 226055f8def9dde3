"""Versions of one tiny checkpoint that can be told apart: each paints a colour of its own."""

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tiny import write_tiny


def colour_of(version: int) -> float:
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
    """Return the one colour of a base64 PNG: the version that painted it."""
    with Image.open(io.BytesIO(base64.b64decode(image))) as picture:
        pixels = np.asarray(picture)
    assert pixels.min() == pixels.max()
    return int(pixels.max())
