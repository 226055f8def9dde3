"""From a checkpoint's folder to a model that runs, which trusts nothing on the way.

    repository -> load -> checkpoint.read -> engines -> golden sample, first runs -> Model

A checkpoint is warmed up and has to reproduce its golden sample before it serves.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import checkpoint
from service.checkpoint import CheckpointError
from service.checkpoint.manifest import Graph, Manifest, TensorSpec
from service.inference.batcher import PIECE_S, Batcher
from service.inference.device import Device
from service.inference.engine import SIZES, Arrays, Engine, PaddedEngine, Runner
from service.inference.latency_model import LatencyModel
from service.inference.model import Model
from service.inference.run_watchdog import FAR_TOO_LONG, RunWatchdog
from service.inference.thread_pools import ThreadPools
from service.observability.metrics import GraphMetrics

FIRST_RUN_S = 60.0
"""Time for a run while nobody knows how long the graph takes."""

WARM_UP_RUNS = 2
WARM_UP_ROWS = 16
"""What a larger batch takes follows from this one and from a single row."""


def load(
    folder: Path,
    queue_rows: int,
    threads: ThreadPools,
    watchdog: RunWatchdog,
    device: Device = "cpu",
    place: tuple[str, int] | None = None,
) -> Model:
    """Read the checkpoint in `folder`, build its engines and try them. Takes long: call it in a thread.

    `place` is the name and version that it has to be, those of the folder if left out.

    Raises:
        CheckpointError: something about it is not as its manifest says.
    """
    found = checkpoint.read(folder, place)
    manifest = found.manifest
    batchers = {}
    for key, spec in manifest.graphs().items():
        engine: Runner = Engine(found.graphs[key], spec, device)
        golden = _Golden(key, spec, found.golden)
        batch_rows = spec.preferred_batch
        if device == "cuda":
            engine, batch_rows = _padded(engine, golden, watchdog)
        first_runs = _FirstRuns(engine, golden, watchdog)
        _check_golden(first_runs, golden, manifest)
        batchers[key] = Batcher(
            engine,
            batch_rows=batch_rows,
            queue_rows=queue_rows,
            latency_model=_warm_up(first_runs, golden, len(manifest.labels or ())),
            threads=threads,
            watchdog=watchdog,
            metrics=GraphMetrics(manifest.name, key),
            row_values=_row_values(spec, golden),
        )
    return Model(manifest, batchers, found.preview, found.reference)


def _padded(engine: Runner, golden: _Golden, watchdog: RunWatchdog) -> tuple[PaddedEngine, int]:
    """Return the engine with runs of one size, and that size: the largest of which a run is still short.

    Raises:
        CheckpointError: the graph cannot be run.
    """
    chosen = PaddedEngine(engine, SIZES[0])
    for rows in SIZES:
        tried = PaddedEngine(engine, rows)
        if _time_runs(_FirstRuns(tried, golden, watchdog), golden, golden.inputs) > PIECE_S:
            break
        chosen = tried
    return chosen, chosen.rows


def _row_values(spec: Graph, golden: _Golden) -> int | None:
    """Return how many numbers a row of the golden sample's first input has, where others may have more."""
    first = spec.inputs[0]
    return golden.inputs[first.name][0].size if None in first.shape else None


class _Golden:
    """The recorded inputs and outputs of one graph."""

    def __init__(self, key: str, spec: Graph, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Pick the graph's arrays.

        Raises:
            CheckpointError: one is missing, or is not what the manifest says of its tensor.
        """
        self.key = key
        self.spec = spec
        self.inputs = {tensor.name: self._pick(arrays, "in", tensor) for tensor in spec.inputs}
        self.outputs = {tensor.name: self._pick(arrays, "out", tensor) for tensor in spec.outputs}
        if len({len(value) for value in [*self.inputs.values(), *self.outputs.values()]}) != 1:
            raise CheckpointError(f"golden sample: {key} has not the same rows everywhere")

    def _pick(self, arrays: Mapping[str, NDArray[Any]], side: str, tensor: TensorSpec) -> NDArray[Any]:
        name = f"{self.key}.{side}.{tensor.name}"
        value = arrays.get(name)
        if value is None:
            raise CheckpointError(f"golden sample: {name} is missing")
        if value.dtype != tensor.dtype or not _fits(value, tensor):
            raise CheckpointError(
                f"golden sample: {name} is not of the type and shape that the manifest says"
            )
        if not np.isfinite(value).all():
            raise CheckpointError(f"golden sample: {name} has numbers that are not finite")
        return value


def _fits(value: NDArray[Any], tensor: TensorSpec) -> bool:
    """Say whether an array has at least one row of the tensor's shape."""
    if value.ndim != len(tensor.shape) + 1 or not len(value):
        return False
    return all(axis in (None, size) for size, axis in zip(value.shape[1:], tensor.shape, strict=True))


class _FirstRuns:
    """Runs of a graph that may be anything yet."""

    def __init__(self, engine: Runner, golden: _Golden, watchdog: RunWatchdog) -> None:
        self._engine = engine
        self._key = golden.key
        self._watchdog = watchdog

    def run(self, inputs: Arrays) -> Arrays:
        """Run it once.

        Raises:
            CheckpointError: it fails, does not end, or gives numbers that are not finite.
        """
        watched = self._watchdog.watch(FIRST_RUN_S / FAR_TOO_LONG)
        try:
            with watched as options:
                outputs = self._engine.run(inputs, options)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no base class but this
            if watched.is_cut:
                raise CheckpointError(f"{self._key} takes more than {FIRST_RUN_S:.0f} s") from None
            raise CheckpointError(f"{self._key} cannot be run ({type(error).__name__})") from None
        if not all(np.isfinite(value).all() for value in outputs.values()):
            raise CheckpointError(f"{self._key} gives numbers that are not finite")
        return outputs


def _check_golden(first_runs: _FirstRuns, golden: _Golden, manifest: Manifest) -> None:
    """Run the golden sample; other processors round differently, but not by more than the tolerance."""
    outputs = first_runs.run(golden.inputs)
    for name, expected in golden.outputs.items():
        if outputs[name].shape != expected.shape:
            raise CheckpointError(f"golden sample: {golden.key} returns {name} in another shape")
        low, high = (
            (expected.min(), expected.max()) if name in ("latents", "logvar") else manifest.image.range
        )
        span = float(high - low) or 1.0
        error = float(np.abs(outputs[name] - expected).max()) / span
        if not error <= manifest.golden.tolerance:
            raise CheckpointError(f"golden sample: {golden.key} is off by {error:.2g} of the range of {name}")


def _warm_up(first_runs: _FirstRuns, golden: _Golden, labels: int) -> LatencyModel:
    """Run one row and a batch, with labels from the first to the last, and measure both.

    Raises:
        CheckpointError: the graph cannot take a batch, or gives numbers that are not finite.
    """
    rows = min(WARM_UP_ROWS, golden.spec.preferred_batch)
    single = {name: value[:1] for name, value in golden.inputs.items()}
    batch = {name: np.repeat(value, rows, axis=0) for name, value in single.items()}
    if "labels" in batch:
        batch["labels"] = np.linspace(0, max(0, labels - 1), rows, dtype=np.int64)
    return LatencyModel(_time_runs(first_runs, golden, single), rows, _time_runs(first_runs, golden, batch))


def _time_runs(first_runs: _FirstRuns, golden: _Golden, inputs: Arrays) -> float:
    """Return the seconds of the fastest of a few runs."""
    rows = len(next(iter(inputs.values())))
    times = []
    for _ in range(WARM_UP_RUNS):
        started = time.perf_counter()
        outputs = first_runs.run(inputs)
        times.append(time.perf_counter() - started)
        if any(len(value) != rows for value in outputs.values()):
            raise CheckpointError(f"{golden.key} does not return one row per row")
    return min(times)
