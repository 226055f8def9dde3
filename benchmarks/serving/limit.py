"""What the machine could do without any server: the networks alone, in one process per core.

python -m benchmarks.serving.limit encode SECONDS     one such process; prints images per second
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import onnxruntime

from benchmarks.serving.networks import CLASSES, NOISE_DIM
from benchmarks.serving.work import BULK, FOLDER
from service.runtime.cpu import usable_cores

ROWS = 64


def images_per_s(route: str, seconds: float) -> float:
    """Return what all cores together reach with batches of 64 and nothing else to do."""
    command = [sys.executable, "-m", "benchmarks.serving.limit", route, str(seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(usable_cores())]  # noqa: S603
    return sum(float(process.communicate()[0]) for process in running)


def main(route: str, seconds: float) -> None:
    """Run one network for a while on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        FOLDER / f"{route}.onnx", options, providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(0)
    inputs = {
        "encode": {"images": random.random((ROWS, 1, 28, 28), np.float32)},
        "generate": {
            "latents": random.standard_normal((ROWS, NOISE_DIM), np.float32),
            "labels": np.arange(ROWS) % CLASSES,
        },
    }[route]
    session.run(None, inputs)
    started, images = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < seconds or images < BULK:
        session.run(None, inputs)
        images += ROWS
    print(images / spent)  # noqa: T201 - this is the command's output


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
