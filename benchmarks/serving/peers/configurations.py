"""How every server is started: its best known settings for two cores."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.serving.server import Configuration
from benchmarks.serving.work import CHECKPOINTS

ENVIRONMENTS = Path("runs/peers/serving")
"""Virtual environments of the peers, one each; see benchmarks/README.md."""

HERE = "benchmarks.serving.peers"
QUIET = ("--no-access-log", "--log-level", "error", "--backlog", "2048")


def _python(peer: str) -> str:
    return str(ENVIRONMENTS / peer / "bin" / "python")


def ours(workers: int, port: int, checkpoints: Path = CHECKPOINTS, module: str = "service") -> Configuration:
    """Return our service as the README starts it, or the module that starts a changed one."""
    flags = (f"--checkpoints={checkpoints}", f"--workers={workers}", "--port={port}")
    return Configuration(
        f"latent-service {workers}",
        (sys.executable, "-m", module, *flags),
        port,
        f"{workers} worker{'s' if workers > 1 else ''}, all limits, metrics and request ids on",
        dialect="latent",
    )


def _torch_and_onnx(
    name: str, command: tuple[str, ...], port: int, about: str, dialect: str = "plain"
) -> tuple[Configuration, Configuration]:
    return (
        Configuration(name, command, port, f"PyTorch, {about}", (("ENGINE", "torch"),), dialect),
        Configuration(
            f"{name} onnx", command, port + 1, f"ONNX Runtime, {about}", (("ENGINE", "onnx"),), dialect
        ),
    )


CONFIGURATIONS = {
    configuration.name: configuration
    for configuration in (
        ours(2, 8200),
        ours(1, 8201),
        *_torch_and_onnx(
            "fastapi",
            (
                *(sys.executable, "-m", "uvicorn", f"{HERE}.plain_fastapi:app"),
                *("--workers", "2", "--port", "{port}", *QUIET),
            ),
            8210,
            "2 workers, one run per request, routes in the thread pool",
        ),
        *_torch_and_onnx(
            "mosec",
            (_python("mosec"), "-m", f"{HERE}.mosec_server", "--address", "127.0.0.1", "--port", "{port}"),
            8220,
            "2 processes per route, batches of 32 within 1 ms",
        ),
        *_torch_and_onnx(
            "litserve",
            (_python("litserve"), "-m", f"{HERE}.litserve_server"),
            8230,
            "2 API servers, batches of 32 within 2 ms",
            "litserve",
        ),
        *_torch_and_onnx(
            "bentoml",
            (
                _python("bentoml"),
                "-m",
                "bentoml",
                "serve",
                f"{HERE}.bentoml_service:Service",
                "--port",
                "{port}",
            ),
            8240,
            "1 worker, adaptive batches of at most 64",
            "bentoml",
        ),
        *_torch_and_onnx(
            "ray",
            (_python("ray"), "-m", f"{HERE}.ray_server"),
            8250,
            "1 replica, batches of 32 within 2 ms",
        ),
    )
}
