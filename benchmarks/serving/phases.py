"""Where a request's time goes: a sampling profile of one loaded worker, by phase."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.serving import bodies, load
from benchmarks.serving.peers.configurations import ours
from benchmarks.serving.server import Server
from benchmarks.serving.work import FOLDER
from training.studies.findings import Findings, Table

CONNECTIONS = 64
PER_SECOND = 500
"""Samples of the profiler."""
STACKS = FOLDER / "stacks.txt"

WAITING = ("(concurrent/futures/thread.py)", "(threading.py)")
"""Where threads are that wait for work; not every wait looks idle to the profiler."""

PHASES = {
    "the network (ONNX Runtime)": ("onnxruntime/",),
    "drawing latents": ("service/latent_space/sampling.py",),
    "reading and writing images": (
        "service/media/png.py",
        "service/media/images.py",
        "service/media/image_files.py",
        "service/media/image_headers.py",
        "service/media/jpeg.py",
        "service/media/exif.py",
        "pyspng/",
        "simplejpeg/",
        "PIL/",
        "service/api/uploads.py",
    ),
    "reading and checking JSON": (
        "service/api/validation.py",
        "pydantic/",
        "service/api/request_bodies.py",
        "base64.py",
    ),
    "batching": (
        "service/inference/batcher.py",
        "service/inference/batch.py",
        "service/inference/latency_model.py",
        "service/inference/model.py",
    ),
    "writing JSON": ("service/api/rendering.py",),
    "limits, request ids, metrics": (
        "service/http/access_log.py",
        "service/http/request_limits.py",
        "service/http/exchange.py",
        "service/http/open_requests.py",
        "service/observability/metrics.py",
        "prometheus_client/",
    ),
    "HTTP, event loop, system": (
        "uvicorn/",
        "starlette/",
        "fastapi/",
        "service/http/connection.py",
        "service/http/connection_limits.py",
        "service/http/coalesced_writes.py",
        "service/http/acceptor.py",
        "service/workers/worker.py",
    ),
    "routes": ("service/",),
}
"""By the file of the innermost frame that belongs to one; every stack ends in the worker's loop."""


def findings(seconds: float) -> Findings:
    """Profile both routes."""
    shares = {route: _shares(route, max(seconds, 8)) for route in ("encode", "generate")}
    rows = tuple((phase, *(f"{shares[route][phase]:.1%}" for route in shares)) for phase in PHASES)
    table = Table(
        title=f"One worker under {CONNECTIONS} connections",
        note="Share of the samples of a profiler, idle threads left out.",
        columns=("phase", *(f"/{route}" for route in shares)),
        rows=rows,
    )
    return Findings(
        title="Where the time goes", question="What does a request spend time on?", parts=(table,)
    )


def _shares(route: str, seconds: float) -> Counter[str]:
    asked = bodies.write("latent", route)
    with Server(ours(1, 8206)) as server:
        load.closed_loop(server.url, f"/{route}", asked, CONNECTIONS, 1)
        command = [
            *(str(Path(sys.executable).with_name("py-spy")), "record", "--format", "raw", "--nolineno"),
            *("--rate", str(PER_SECOND), "--duration", str(round(seconds)), "--output", str(STACKS)),
            *("--pid", str(_worker(server.pid))),
        ]
        profiler = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        load.closed_loop(server.url, f"/{route}", asked, CONNECTIONS, seconds + 1)
        profiler.wait()
    counted: Counter[str] = Counter()
    for line in STACKS.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        if not stack.endswith(WAITING):
            counted[_phase(stack)] += int(samples)
    return Counter({phase: count / counted.total() for phase, count in counted.items()})


def _worker(supervisor: int) -> int:
    """Return the process that serves, the only child."""
    (worker,) = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return int(worker)


def _phase(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        for phase, files in PHASES.items():
            if any(f"({file}" in frame or f"/{file}" in frame for file in files):
                return phase
    return phase
