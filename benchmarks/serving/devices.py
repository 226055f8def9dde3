"""What a GPU brings: each graph of each checkpoint in one process, on the processor and on the GPU.

python -m benchmarks.serving.devices [CHECKPOINTS]     prints a table; docs/gpu.md says what a GPU needs
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np

from service.checkpoint import versions
from service.checkpoint.manifest import Graph
from service.inference.batch import Inputs
from service.inference.device import Device, check
from service.inference.loading import load
from service.inference.model import Model
from service.inference.run_watchdog import RunWatchdog
from service.inference.thread_pools import ThreadPools
from service.runtime.cpu import usable_cores

DEVICES: tuple[Device, Device] = ("cpu", "cuda")
REPEATS = 20
SMALL, LARGE = 64, 1024
FREE_AXIS = 32
"""Pixels along an axis of any size."""


def main(root: Path) -> None:
    """Print milliseconds for a single row, and rows per second of many requests and of a large one."""
    check("cuda")
    print(f"One process, {usable_cores()} cores.\n")  # noqa: T201 - this is the command's output
    print(f"| graph | one row, ms | rows/s of {SMALL} requests | rows/s of one request of {LARGE} rows |")  # noqa: T201
    print("|---|---|---|---|")  # noqa: T201
    for name in sorted(path.name for path in root.iterdir()):
        folder = root / name / str(versions(root, name)[0])
        on_cpu, on_gpu = (
            load(folder, 4 * LARGE, ThreadPools(), RunWatchdog(60), device) for device in DEVICES
        )
        for key, spec in on_cpu.manifest.graphs().items():
            cpu, gpu = (asyncio.run(measure(model, key, spec)) for model in (on_cpu, on_gpu))
            cells = [f"{brief(a)} and {brief(b)} ({b / a:.2f})" for a, b in zip(cpu, gpu, strict=True)]
            print(f"| {name} {key} | {' | '.join(cells)} |", flush=True)  # noqa: T201


def brief(number: float) -> str:
    """Write a number with three digits, or all of a large one."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


async def measure(model: Model, key: str, spec: Graph) -> tuple[float, float, float]:
    """Return milliseconds for a single row, and rows per second of many requests and of a large one."""
    single, large = rows_of(spec, 1), rows_of(spec, LARGE)

    async def run(inputs: Inputs) -> None:
        await model.run(key, inputs, time.monotonic() + 60)

    async def many() -> None:
        await asyncio.gather(*(run(single) for _ in range(SMALL)))

    one_s = await median_s(lambda: run(single))
    return one_s * 1000, SMALL / await median_s(many), LARGE / await median_s(lambda: run(large))


async def median_s(call: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """Return the median seconds of a call, after a first one that does not count."""
    await call()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        await call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def rows_of(spec: Graph, rows: int) -> Inputs:
    """Return random rows for a graph."""
    random = np.random.default_rng(0)
    return {
        tensor.name: random.integers(0, 10, rows)
        if tensor.dtype == "int64"
        else random.uniform(-1, 1, (rows, *(axis or FREE_AXIS for axis in tensor.shape))).astype(np.float32)
        for tensor in spec.inputs
    }


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "checkpoints"))
