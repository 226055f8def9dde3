"""Several workers behave as one, and are replaced when they die."""

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.process_resources import shared_folder
from support.service_process import ROOT, ServiceProcess, StartService, is_alive, wait_until
from support.single_worker import PATIENT, only
from support.tiny_checkpoints import write_tiny

DECODE = {"latents": [[0.1, 0.2, 0.3, 0.4]]}


@pytest.fixture
def service(tmp_path: Path, start_service: StartService) -> ServiceProcess:
    write_tiny(tmp_path / "checkpoints", default_for=("decode", "generate"), classes=("x", "y"))
    (write_tiny(tmp_path / "checkpoints", "bad") / "decode.onnx").write_bytes(b"")
    return start_service(workers=2, **PATIENT)


def total(metrics: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def decoded(metrics: str) -> float:
    return total(metrics, "latent_requests_total", route="/decode", status="200")


def post(service: ServiceProcess, body: object) -> int:
    """Return the status of an answer, 0 if the connection ends before it."""
    with service.client() as client:
        try:
            return client.post("/decode", json=body).status_code
        except httpx.TransportError:
            return 0


def open_sockets(pid: int) -> int:
    return sum(str(link.readlink()).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())


def test_models_are_the_same_on_every_worker(service: ServiceProcess):
    answers = []
    for worker in service.workers():
        with only(service, worker) as client:
            answers.append(client.get("/models").json()["models"])
    assert len(answers) == 2
    assert answers[0] == answers[1]
    assert {model["name"]: model["state"] for model in answers[0]} == {"tiny": "serving", "bad": "refused"}


def test_a_seed_gives_the_same_bytes_on_every_worker(service: ServiceProcess):
    images = set()
    for worker in service.workers():
        with only(service, worker) as client:
            body, headers = {"count": 3, "seed": 7}, {"Accept": "application/x-npy"}
            answer = client.post("/generate", json=body, headers=headers)
            assert answer.status_code == 200
            images.add(answer.content)
    assert len(images) == 1


def test_metrics_are_summed_over_the_workers(service: ServiceProcess):
    for worker, requests in zip(service.workers(), (3, 5), strict=True):
        with only(service, worker) as client:
            for _ in range(requests):
                assert client.post("/decode", json=DECODE).status_code == 200
            client.get("/health/live")  # an answer is counted once it is sent, before the next is begun
    for worker in service.workers():
        with only(service, worker) as client:
            metrics = client.get("/metrics").text
        assert decoded(metrics) == 8
        assert total(metrics, "latent_request_seconds_count", route="/decode") == 8
        assert total(metrics, "latent_batch_rows_sum", model="tiny", graph="decode") == 8
        assert total(metrics, "latent_models", state="serving") == 1
        assert total(metrics, "latent_queue_rows") == 0


def test_a_burst_of_connections_is_shared(service: ServiceProcess):
    address = httpx.URL(service.url)
    callers = [socket.create_connection((address.host, address.port)) for _ in range(64)]
    for caller in callers:
        caller.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for caller in callers:
        assert caller.recv(4096).startswith(b"HTTP/1.1 200 ")
    held = [open_sockets(worker) for worker in service.workers()]
    for caller in callers:
        caller.close()
    assert min(held) >= 25


def test_killed_worker_is_replaced_while_the_other_serves(service: ServiceProcess):
    first, second = service.workers()
    with only(service, first) as client:
        assert client.post("/decode", json=DECODE).status_code == 200
        wait_until(lambda: decoded(client.get("/metrics").text) == 1, "it is counted")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(first), "it is dead")
    for _ in range(20):
        with service.client() as client:
            assert client.post("/decode", json=DECODE).status_code == 200
    wait_until(lambda: len(service.workers()) == 3, "another takes its place", 15)
    with only(service, second) as client:
        metrics = client.get("/metrics").text
    assert decoded(metrics) == 21
    assert total(metrics, "latent_models", state="serving") == 1
    service.stop()
    assert service.wait() == 0


def test_rows_that_waited_in_a_killed_worker_are_not_counted_for_ever(
    tmp_path: Path, start_service: StartService
):
    write_tiny(tmp_path / "checkpoints", operations=("decode",), default_for=("decode",), slow_ms=100)
    service = start_service(workers=2, **PATIENT)
    first, second = service.workers()

    def queue_rows() -> float:
        return total(service.get("/metrics").text, "latent_queue_rows")

    body = {"latents": DECODE["latents"] * 256}
    with ThreadPoolExecutor(4) as callers:
        with only(service, first):
            answers = [callers.submit(post, service, body) for _ in range(4)]
            wait_until(queue_rows, "rows wait")
            os.kill(first, signal.SIGKILL)
        assert 0 in [answer.result() for answer in answers]
    wait_until(lambda: queue_rows() == 0, "nothing waits any more")
    assert is_alive(second)


def test_workers_end_with_their_supervisor(service: ServiceProcess):
    workers = service.workers()
    service.process.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in workers), "the workers are gone")


def test_nothing_is_left_behind(service: ServiceProcess):
    workers = service.workers()
    folder = shared_folder(workers[0])
    assert folder.is_dir()
    service.stop()
    assert service.wait() == 0
    assert not folder.exists()
    assert not any(is_alive(pid) for pid in workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_killed_service_leaves_goes_with_the_next_start(
    tmp_path: Path, start_service: StartService, workers: int
):
    write_tiny(tmp_path / "checkpoints")
    first = start_service(workers=workers)
    folder = shared_folder(first.process.pid)
    pids = first.workers()
    first.process.kill()
    first.process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "the workers are gone")
    assert folder.is_dir()
    start_service(workers=workers)
    assert not folder.exists()


def test_workers_that_cannot_start_end_the_service(tmp_path: Path):
    (tmp_path / "uvloop.py").write_text("raise ImportError('broken installation')")
    ended = subprocess.run(
        [sys.executable, "-m", "service", "--port=0", "--workers=2", f"--checkpoints={tmp_path}"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 3
    assert "a worker cannot serve" in ended.stderr
    assert "it is replaced" not in ended.stderr
