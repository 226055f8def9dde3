"""The shipped checkpoints on a GPU: what the processor says within its tolerance, and no row knows of others.

Needs a GPU and onnxruntime-gpu (docs/gpu.md). `LATENT_DEVICE=cuda` runs the other tests of the service on it.
"""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.devices import rows_of
from service.inference.batch import Inputs
from service.inference.device import NoSuchDevice, check
from service.inference.engine import Arrays
from service.inference.loading import load
from service.inference.model import Model
from service.inference.run_watchdog import RunWatchdog
from service.inference.thread_pools import ThreadPools
from support.requirements import lack
from support.service_process import ROOT

SHIPPED = sorted(path for path in (ROOT / "checkpoints").glob("*/*") if path.is_dir())
DEADLINE_S = float("inf")
ROWS = 100


def why_not() -> str:
    """Say why there is no GPU; nothing where there is one."""
    try:
        check("cuda")
    except NoSuchDevice as error:
        return str(error)
    return ""


needs_cuda = pytest.mark.skipif(bool(why_not()), reason=lack("a GPU", "see docs/gpu.md"))


def loaded(folder: Path, device: str) -> Model:
    return load(folder, 4096, ThreadPools(), RunWatchdog(60), "cuda" if device == "cuda" else "cpu")


@needs_cuda
@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.parent.name)
async def test_a_gpu_says_what_the_processor_says_and_no_row_knows_of_others(folder: Path):
    on_gpu, on_cpu = loaded(folder, "cuda"), loaded(folder, "cpu")
    for key, spec in on_gpu.manifest.graphs().items():
        inputs = rows_of(spec, ROWS)
        together = await in_parts(on_gpu, key, inputs, ROWS)
        for size in (1, 3, 50):
            apart = await in_parts(on_gpu, key, inputs, size)
            assert all(np.array_equal(value, together[name]) for name, value in apart.items()), (key, size)
        for name, expected in (await in_parts(on_cpu, key, inputs, ROWS)).items():
            error = np.abs(together[name] - expected).max() / np.ptp(expected)
            assert error <= on_gpu.manifest.golden.tolerance, (key, name)


async def in_parts(model: Model, key: str, inputs: Inputs, size: int) -> Arrays:
    """Run rows in requests of `size` rows, all at once, and return the outputs of all."""
    parts = [
        {name: value[start : start + size] for name, value in inputs.items()}
        for start in range(0, ROWS, size)
    ]
    outputs = await asyncio.gather(*(model.run(key, part, DEADLINE_S) for part in parts))
    return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}
