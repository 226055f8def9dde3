"""Health is the truth: loading, no models, one corrupt of three, draining; a dead engine is in test_stuck."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from support.service_process import ROOT, StartService, wait_until
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured

both = pytest.mark.parametrize("workers", [1, 2])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def readiness(port: int) -> int | None:
    """Return the status of /health/ready, None where nobody listens."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).status_code
    except httpx.TransportError:
        return None


@both
def test_while_it_loads_it_is_not_ready(tmp_path: Path, workers: int, measured: Measured):
    write_tiny(tmp_path, operations=("decode",), slow_ms=30)
    port = free_port()
    command = [sys.executable, "-m", "service", f"--port={port}", f"--workers={workers}"]
    command.append(f"--checkpoints={tmp_path}")
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        seen: list[int | None] = []
        started_s = time.monotonic()
        while 200 not in seen and time.monotonic() < started_s + 30:
            seen.append(readiness(port))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert seen[-1] == 200
    assert set(seen[:-1]) <= {None, 503}
    assert len(seen) > 1
    measured(23, f"{workers} worker(s), loading: not ready")


@both
def test_without_models_it_lives_and_is_not_ready(
    start_service: StartService, workers: int, measured: Measured
):
    service = start_service(workers=workers)
    assert service.get("/health/ready").status_code == 503
    assert service.get("/health/live").status_code == 200
    measured(23, f"{workers} worker(s), no models: not ready")


@both
def test_one_corrupt_of_three_is_flagged_and_the_service_ready(
    tmp_path: Path, start_service: StartService, workers: int, measured: Measured
):
    for name in ("first", "second", "third"):
        folder = write_tiny(tmp_path / "checkpoints", name)
    (folder / "decode.onnx").write_bytes(b"broken")
    service = start_service(workers=workers)
    answer = service.get("/health/ready")
    assert answer.status_code == 200
    assert (answer.json()["serving"], answer.json()["refused"]) == (["first", "second"], ["third"])
    measured(23, f"{workers} worker(s), one corrupt: ready, flagged")


@both
def test_while_it_drains_it_is_not_ready_and_lives(
    tmp_path: Path, start_service: StartService, workers: int, measured: Measured
):
    write_tiny(tmp_path / "checkpoints")
    service = start_service(workers=workers, drain_delay_s=3)
    service.stop()
    wait_until(lambda: service.get("/health/ready").status_code == 503, "it is not ready", 0.5)
    assert service.get("/health/live").status_code == 200
    measured(23, f"{workers} worker(s), draining: not ready")
