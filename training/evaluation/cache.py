"""Results that are computed once and kept on disk: metrics of runs and of data, and the weights of judges.

One rule for all: with a result its key is written, and it is valid for as long as that is the key asked for.
A key has whatever the result depends on: hashes of what goes in, such as weights and images, and the version
numbers of the code that computes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from training.data.datasets import Dataset
from training.runtime.run_folder import RUNS, replace

VERSIONS = {
    "metrics": 1,  # whatever `evaluate` measures, of runs, of data and of other projects' models
    "judge": 1,  # its weights
    "features": 1,  # their weights, those shipped too
    "latents": 1,  # where the latents of a run lie, by class
    "speed": 1,  # images per second
}
"""To be raised by hand with every change of the code that gives another result from the same input."""

Key = dict[str, str | int]
Weights = dict[str, Tensor]


def versions(*names: str) -> Key:
    """Return the part of a key that names code: of a result, and of those that it is computed from."""
    return {f"version of {name}": VERSIONS[name] for name in names}


def data_key(dataset: Dataset) -> Key:
    """Return the part of a key that names a data set; how many images are held back is seen in its counts."""
    return {"data": dataset.sha256, "training images": len(dataset.train), "test images": len(dataset.test)}


def data_path(dataset: Dataset, name: str) -> Path:
    """Return where the result called `name` of a data set alone is kept."""
    return RUNS / "judges" / f"{dataset.name}-{dataset.sha256[:12]}-{len(dataset.train)}-{name}"


def cached(path: Path, key: Key, compute: Callable[[], JsonValue]) -> JsonValue:
    """Return what is kept under this key in a JSON file, or else compute it and keep it there."""
    if path.is_file():
        stored = json.loads(path.read_bytes())
        if stored.get("key") == key:
            value: JsonValue = stored["value"]
            return value
    return keep(path, key, compute())


def keep(path: Path, key: Key, value: JsonValue) -> JsonValue:
    """Write a value with its key, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, json.dumps({"key": key, "value": value}, indent=1).encode())
    return value


def cached_weights(path: Path, key: Key, train: Callable[[], Weights]) -> Path:
    """Return the safetensors file once it holds weights under this key, trained now unless it does."""
    written = json.dumps(key)
    if not path.is_file() or _written_key(path) != written:
        weights = {name: value.contiguous() for name, value in train().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, save(weights, {"key": written}))
    return path


def _written_key(path: Path) -> str | None:
    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get("key")
