"""Tiny checkpoints as models that run, without a repository."""

from pathlib import Path
from typing import Any

from service.inference.loading import load
from service.inference.model import Model
from service.inference.run_watchdog import RunWatchdog
from service.inference.thread_pools import ThreadPools
from support.tiny_checkpoints import write_tiny

QUEUE_ROWS = 1000


def load_tiny(root: Path, name: str = "tiny", version: int = 1, **options: Any) -> Model:
    """Write a tiny checkpoint, options as in `describe_tiny`, and load it."""
    return load_folder(write_tiny(root, name, version, **options))


def load_folder(folder: Path, **options: Any) -> Model:
    """Load a checkpoint; threads begin with the first work for them."""
    return load(folder, QUEUE_ROWS, ThreadPools(), RunWatchdog(60), **options)
