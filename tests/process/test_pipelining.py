"""Requests that follow one another on a connection without waiting for their answers."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.raw_connection import Wire
from support.service_process import ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured, forms

LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: %d\r\n\r\n"
DECODE = b'{"latents": [[0, 0, 0, 0]]}'
SLOW = b'{"model": "slow", "latents": [[0, 0, 0, 0]]}'
SLOW_MS = 400
RUNS = 8
"""Of a request that takes long."""


def post(body: bytes, number: int) -> bytes:
    head = b"POST /decode HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return b"%sX-Request-Id: %d\r\nContent-Length: %d\r\n\r\n%s" % (head, number, len(body), body)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("pipelining")
    write_tiny(root / "checkpoints", "tiny", default_for=("decode",))
    write_tiny(root / "checkpoints", "slow", operations=("decode",), slow_ms=SLOW_MS)
    with ServiceProcess(root / "checkpoints", root / "log") as process:
        yield process


@pytest.fixture
def wire(service: ServiceProcess) -> Iterator[Wire]:
    with Wire(service) as opened:
        yield opened


def test_a_burst_of_small_requests_is_answered_in_order(wire: Wire):
    burst = b"".join(LIVE % number for number in range(5000))
    assert len(burst) > 300_000
    sending = threading.Thread(target=wire.send, args=(burst,))
    sending.start()
    for number in range(5000):
        answer = wire.answer()
        assert (answer.status_code, answer.headers["x-request-id"]) == (200, str(number))
    sending.join()


@forms("every", short=9, full=1)
def test_a_head_in_two_pieces_takes_no_answer_from_the_request_before_it(
    service: ServiceProcess, every: int, measured: Measured
):
    first = post(DECODE.ljust(200_000), 1)
    second = post(DECODE, 2)
    cuts = range(0, len(second), every)
    with Wire(service) as wire:
        for cut in cuts:
            wire.send(first + second[:cut])
            assert wire.answer().headers["x-request-id"] == "1"
            wire.send(second[cut:])
            answer = wire.answer()
            assert (answer.status_code, answer.headers["x-request-id"]) == (200, "2")
        for cut in cuts:
            wire.send(first + second[:cut]).send(second[cut:])
            assert [wire.answer().headers["x-request-id"] for _ in range(2)] == ["1", "2"]
    measured(28, f"heads cut at {len(cuts)} places after bodies: 0 of {4 * len(cuts)} answers lost")


def test_a_refusal_waits_for_the_answers_before_it(wire: Wire):
    wire.send(post(SLOW, 1) + post(DECODE, 2) + b"nonsense\r\n\r\n" + post(DECODE, 3))
    assert [wire.answer().headers["x-request-id"] for _ in range(2)] == ["1", "2"]
    wire.refusal(400, "bad-request")
    assert wire.is_closed()


def requests(service: ServiceProcess, status: int) -> float:
    lines = service.get("/metrics").text.splitlines()
    counted = [line for line in lines if line.startswith("latent_requests_total{")]
    return sum(float(line.split()[-1]) for line in counted if f'status="{status}"' in line)


@pytest.mark.parametrize("waiting", [3, 1500])
def test_a_client_that_leaves_requests_behind_is_noticed(service: ServiceProcess, waiting: int):
    """Also where so much waits that nothing more is read from it."""
    gone = requests(service, 499)
    rows = json.dumps({"model": "slow", "latents": [[0, 0, 0, 0]] * 32 * RUNS}).encode()
    with Wire(service) as wire:
        wire.send(post(rows, 1) + LIVE % 2 * waiting)
    left_s = time.monotonic()
    wait_until(lambda: requests(service, 499) == gone + 1, "it is counted as gone")
    assert time.monotonic() - left_s < RUNS * SLOW_MS / 1e3, "it was answered first"


def test_what_waits_counts_among_the_bytes_held(tmp_path: Path, start_service: StartService):
    write_tiny(tmp_path / "checkpoints", "slow", operations=("decode",), slow_ms=SLOW_MS)
    service = start_service(max_body_bytes=20_000, max_held_bytes=20_000)
    with Wire(service) as wire:
        wire.send(post(SLOW, 1) + LIVE % 2 * 400)
        assert wire.answer().headers["x-request-id"] == "1"
        assert wire.is_closed()
    with Wire(service) as wire:
        wire.send(post(SLOW, 1) + LIVE % 2 * 200)
        assert [wire.answer().headers["x-request-id"] for _ in range(201)] == ["1", *["2"] * 200]
