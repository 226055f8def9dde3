"""Clients that take their time: for a head, a body, an answer, or for nothing at all."""

import select
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from support.raw_connection import Wire
from support.service_process import ROOT, ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured

HEADER_S, BODY_S, READER_S, IDLE_S = 0.6, 0.7, 0.8, 1.0
LATE_S = 1.5
"""How much later than the limit the end may come; the service looks every half second."""

LINGER_S = 2.0
DECODE = b'{"latents": [[0, 0, 0, 0]]}'
HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
IDLE = 1000
LARGE = b'{"count": 512}'
LARGE_BYTES = 512 * 128 * 128 * 3


def write_large(root: Path) -> None:
    """Write a model of large images."""
    options = {"operations": ("generate",), "channels": 3, "size": 128, "default_for": ("generate",)}
    write_tiny(root / "checkpoints", "large", **options)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("slow")
    write_tiny(root / "checkpoints", "tiny", default_for=("encode", "decode"))
    write_large(root)
    limits = {
        "header_timeout_s": HEADER_S,
        "body_timeout_s": BODY_S,
        "reader_timeout_s": READER_S,
        "keep_alive_timeout_s": IDLE_S,
    }
    with ServiceProcess(root / "checkpoints", root / "log", **limits) as process:
        yield process


def open_sockets(service: ServiceProcess) -> int:
    return sum(is_socket(link) for pid in service.workers() for link in Path(f"/proc/{pid}/fd").iterdir())


def is_socket(link: Path) -> bool:
    try:
        return str(link.readlink()).startswith("socket:")
    except FileNotFoundError:  # closed since it was listed
        return False


def test_a_head_that_drips_is_408_in_time(service: ServiceProcess):
    with Wire(service) as wire:
        took_s = wire.send(HEAD).drip(b"X: y\r\n")
        wire.refusal(408, "request-timeout")
    assert HEADER_S <= took_s < HEADER_S + LATE_S


def test_waiting_before_the_head_wins_no_time(start_service: StartService):
    with Wire(start_service(header_timeout_s=2)) as wire:
        time.sleep(1.8)
        assert wire.drip(HEAD) < 2 + LATE_S


def test_a_connection_that_says_nothing_is_closed_in_time(service: ServiceProcess):
    with Wire(service) as wire:
        assert wire.is_closed()
        assert HEADER_S <= time.monotonic() - wire.connected_s < HEADER_S + LATE_S


def test_a_body_that_drips_is_408_in_time(service: ServiceProcess):
    with Wire(service) as wire:
        took_s = wire.post("/decode", "Content-Length: 1000").drip(b" ")
        answer = wire.refusal(408, "request-timeout")
        assert answer.headers["connection"] == "close"
        assert wire.is_closed()
        assert time.monotonic() - wire.connected_s < BODY_S + LATE_S + LINGER_S
    assert BODY_S <= took_s < BODY_S + LATE_S


def test_a_slow_body_that_comes_in_time_is_answered(service: ServiceProcess):
    with Wire(service) as wire:
        wire.post("/decode", f"Content-Length: {len(DECODE)}")
        for byte in DECODE:
            wire.send(bytes([byte]))
        assert wire.answer().status_code == 200


def test_an_idle_connection_is_closed_in_time(service: ServiceProcess):
    with Wire(service) as wire:
        assert wire.send(HEAD + b"\r\n").answer().status_code == 200
        answered_s = time.monotonic()
        assert wire.is_closed()
        assert IDLE_S - 0.5 <= time.monotonic() - answered_s < IDLE_S + LATE_S


def test_a_body_that_drips_behind_its_answer_keeps_nothing_open(service: ServiceProcess):
    with Wire(service) as wire:
        wire.post("/nowhere", "Content-Length: 100000").refusal(404, "no-such-route")
        assert wire.drip(b"x") < IDLE_S + LATE_S


def test_a_second_request_has_its_own_time(service: ServiceProcess):
    with Wire(service) as wire:
        for _ in range(3):
            assert wire.send(HEAD + b"\r\n").answer().status_code == 200
            time.sleep(IDLE_S / 3)
        begun_s = time.monotonic()
        wire.send(HEAD).drip(b"X: y\r\n")
        wire.refusal(408, "request-timeout")
        assert time.monotonic() - begun_s < HEADER_S + LATE_S


def ask_for_much(service: ServiceProcess) -> Wire:
    wire = Wire(service, receive_buffer=1 << 16)
    return wire.post("/generate", f"Content-Length: {len(LARGE)}", "Accept: application/x-npy", body=LARGE)


def read_all(wire: Wire) -> None:
    while wire.socket.recv(1 << 20):
        pass


def test_a_client_that_never_reads_is_let_go(service: ServiceProcess):
    wait_until(lambda: service.get("/health/live"), "it answers")
    with ask_for_much(service) as wire:
        wire.socket.recv(1)
        held = open_sockets(service)
        wait_until(lambda: open_sockets(service) < held, "the connection is given up", READER_S + LATE_S + 1)
        with pytest.raises(ConnectionError):
            read_all(wire)


def test_a_client_that_reads_slowly_gets_everything(service: ServiceProcess):
    with ask_for_much(service) as wire:
        started_s, received, head = time.monotonic(), 0, b""
        while received < LARGE_BYTES:
            data = wire.socket.recv(1 << 18)
            assert data, "it was cut off"
            head = head or data
            received += len(data)
            time.sleep(2.5 * READER_S * len(data) / LARGE_BYTES)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - started_s > 2 * READER_S


def test_slow_clients_slow_nobody_else(service: ServiceProcess):
    with ExitStack() as opened:
        wires = [opened.enter_context(Wire(service)) for _ in range(40)]
        for number, wire in enumerate(wires):
            wire.send(HEAD) if number % 2 else wire.post("/decode", "Content-Length: 1000")
        with service.client(headers={"content-type": "application/json"}) as client:
            for _ in range(50):
                assert client.post("/decode", content=DECODE).status_code == 200
        for wire in wires:
            wire.refusal(408, "request-timeout")


def test_bodies_together_have_a_limit_too(start_service: StartService):
    service = start_service(max_body_bytes=1_000_000, max_held_bytes=2_500_000)
    body = b"x" * 1_000_000
    with ExitStack() as opened:
        wires = [opened.enter_context(Wire(service)) for _ in range(3)]
        for wire in wires:
            wire.post("/decode", "Content-Length: 1000000", body=body[1:])
        answered = [wire for wire in wires if is_answered(wire)]
        (wire,) = answered
        assert wire.refusal(429, "queue-full").headers["retry-after"] == "1"
    with service.client(headers={"content-type": "application/json"}) as client:
        wait_until(lambda: client.post("/decode", content=body).status_code == 400, "there is room again")


def is_answered(wire: Wire) -> bool:
    """Say whether there is an answer, or will be in a moment."""
    return bool(select.select([wire.socket], [], [], 1)[0])


def test_answers_that_nobody_reads_have_a_limit_together(tmp_path: Path, start_service: StartService):
    write_large(tmp_path)
    limit = LARGE_BYTES
    limits = {"max_held_bytes": limit, "max_body_bytes": limit}
    service = start_service(reader_timeout_s=60, keep_alive_timeout_s=1, **limits)
    with ExitStack() as opened:
        wires = [opened.enter_context(ask_for_much(service)) for _ in range(2)]
        for wire in wires:
            wire.socket.recv(1)
        wait_until(lambda: "bytes unread" in service.log(), "one of them is ended")
        received = [read_what_comes(wire) for wire in wires]
    assert min(received) < LARGE_BYTES <= max(received)


def read_what_comes(wire: Wire) -> int:
    received = 0
    with suppress(ConnectionError):
        while data := wire.socket.recv(1 << 20):
            received += len(data)
    return received


@pytest.mark.parametrize("workers", [1, 2])
def test_one_connection_too_many_ends_those_that_wait_longest(start_service: StartService, workers: int):
    service = start_service(workers=workers, max_connections=32)
    before = open_sockets(service)
    with ExitStack() as opened, service.client() as busy:
        busy.get("/health/live")
        for _ in range(100):
            opened.enter_context(Wire(service))
            assert busy.get("/health/live").status_code == 200
        started_s = time.monotonic()
        assert service.get("/health/live").status_code == 200
        assert time.monotonic() - started_s < 5
        assert open_sockets(service) <= before + 32


def slowest_check_s(service: ServiceProcess) -> float:
    """Open more idle connections than are held; return the longest that a health check took meanwhile."""
    slowest_s = 0.0
    with ExitStack() as opened:
        for _ in range(IDLE // 10):
            for _ in range(10):
                opened.enter_context(Wire(service))
            started_s = time.monotonic()
            assert service.get("/health/live").status_code == 200
            slowest_s = max(slowest_s, time.monotonic() - started_s)
    return slowest_s


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thousand_idle_connections_delay_no_health_check(start_service: StartService, workers: int):
    service = start_service(workers=workers)
    least_s = min(slowest_check_s(service) for _ in range(3))  # other work can only make it longer
    assert least_s < 0.25
    assert "ended" in service.log()


FEW_FILES = ("sh", "-c", f'ulimit -n 256 && cd {ROOT} && exec "$@"', "sh", sys.executable, "-m", "service")


def test_with_few_descriptors_as_many_connections_are_held_as_fit(start_service: StartService):
    service = start_service(program=FEW_FILES)
    assert "a worker holds 156 connections instead of 900: it may open 256 files" in service.log()
    with ExitStack() as opened:
        for _ in range(300):
            opened.enter_context(Wire(service))
        assert service.get("/health/live").status_code == 200
    assert "no connection can be accepted" not in service.log()


@pytest.mark.chaos
@pytest.mark.parametrize("workers", [1, 2])
def test_five_hundred_slow_clients_at_most_double_the_slowest_answers(
    tmp_path: Path, start_service: StartService, workers: int, measured: Measured
):
    write_tiny(tmp_path / "checkpoints", "tiny", default_for=("decode",))
    service = start_service(workers=workers)
    before_s = slowest_s(service)
    with ExitStack() as opened:
        heads = [opened.enter_context(Wire(service)).send(HEAD) for _ in range(250)]
        bodies = [opened.enter_context(Wire(service)) for _ in range(250)]
        for wire in bodies:
            wire.post("/decode", "Content-Length: 1000")
        meanwhile_s = slowest_s(service)
        assert meanwhile_s <= 2 * before_s + 0.005
        closed_s = []
        for wires, limit_s in ((heads, 15), (bodies, 30)):
            for wire in wires:
                wire.refusal(408, "request-timeout")
                assert wire.is_closed()
            closed_s.append(time.monotonic() - min(wire.connected_s for wire in wires))
            assert closed_s[-1] < limit_s
    measured(
        15,
        f"{workers} worker(s): heads closed by {closed_s[0]:.0f} s, bodies by {closed_s[1]:.0f} s; p99 "
        f"{meanwhile_s * 1e3:.1f} ms beside them, {before_s * 1e3:.1f} ms alone",
    )


def slowest_s(service: ServiceProcess) -> float:
    """Return the 99th percentile of the seconds of an answer."""
    seconds = []
    with service.client(headers={"content-type": "application/json"}) as client:
        for _ in range(2000):
            started_s = time.monotonic()
            assert client.post("/decode", content=DECODE).status_code == 200
            seconds.append(time.monotonic() - started_s)
    return sorted(seconds)[-20]
