"""Requests that wait after an answer nobody reads: what they take, and what is left of them."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.process_resources import MIB, resident_bytes, settled_bytes
from support.raw_connection import Wire
from support.service_process import ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured, forms

UNREAD = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
WAITING = b"GET /ab HTTP/1.1\r\nHost:[::1]\r\n\r\n"
WAITING_REQUESTS = (64 << 10) // len(WAITING)
MORE_PER_CONNECTION = 128 << 10
LEFT_BYTES = 16 * MIB


def connections(service: ServiceProcess, count: int, waiting: int) -> Iterator[Wire]:
    """Yield connections that send requests and read nothing: one, and so many that wait after it."""
    for _ in range(count):
        wire = Wire(service, receive_buffer=4096)
        wire.send(UNREAD + WAITING * waiting)
        yield wire


def held_bytes(service: ServiceProcess, count: int, waiting: int) -> int:
    """Return what the workers have resident while there are so many connections."""
    with ExitStack() as opened:
        for wire in connections(service, count, waiting):
            opened.enter_context(wire)
        time.sleep(1)
        return sum(map(resident_bytes, service.workers()))


@pytest.mark.parametrize("workers", [1, 2])
@forms("count", short=240, full=800)
def test_pipelined_requests_take_little_memory(
    tmp_path: Path, start_service: StartService, workers: int, count: int, measured: Measured
):
    """It is compared with what the process keeps after as many connections on which nothing waits."""
    write_tiny(tmp_path / "checkpoints", "tiny", default_for=("decode",))
    service = start_service(workers=workers, reader_timeout_s=600)
    held_bytes(service, count, waiting=0)
    before = sum(settled_bytes(service.workers()))
    more = held_bytes(service, count, waiting=WAITING_REQUESTS) - before

    def left_bytes() -> int:
        return sum(map(resident_bytes, service.workers())) - before

    wait_until(lambda: left_bytes() < LEFT_BYTES, "it is given back", 30)
    measured(
        28,
        f"{workers} worker(s), {count} connections: {more / count / 1024:+.0f} KiB each, "
        f"{left_bytes() / MIB:+.0f} MiB in all once they were closed",
    )
    assert more < count * MORE_PER_CONNECTION
    assert service.get("/health/ready").status_code == 200
