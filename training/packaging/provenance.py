"""What made a checkpoint: the versions of libraries, and the commit of this code."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version

LIBRARIES = ("torch", "torchvision", "numpy", "onnx", "onnxruntime", "pillow", "scikit-learn")


def library_versions(*others: str) -> dict[str, str]:
    """Return the versions of Python, of the libraries that made a checkpoint, and of `others`."""
    return {"python": platform.python_version()} | {name: version(name) for name in (*LIBRARIES, *others)}


def commit() -> str | None:
    """Return the git commit of the code, with a plus where files were changed; None outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "training") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return done.stdout.strip()
