"""Stopping: ready turns 503, everything that was accepted is answered, exit code 0."""

import asyncio
import json
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.process_resources import shared_folder
from support.service_process import ROOT, ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny

DECODE = {"latents": [[0.0, 0.0, 0.0, 0.0]]}


def write_slow(root: Path, slow_ms: float) -> None:
    write_tiny(
        root / "checkpoints",
        operations=("decode",),
        default_for=("decode",),
        slow_ms=slow_ms,
        preferred_batch=4,
    )


class RawRequest:
    """One POST on a connection of its own; once sent, it is the service's to answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def send(cls, service: ServiceProcess, path: str, body: object) -> "RawRequest":
        url = httpx.URL(service.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()
        return cls(reader, writer)

    async def status(self) -> int:
        """Return the status of the whole answer, 0 if the connection ended before."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await self.reader.readexactly(int(length[1]) if length else 0)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
        finally:
            self.writer.close()
        return int(head.split()[1])


async def stop_with_requests_in_flight(
    service: ServiceProcess, requests: int, number: signal.Signals
) -> list[int]:
    """Send all, then tell the service to stop, and return the statuses of the answers."""
    sent = [await RawRequest.send(service, "/decode", DECODE) for _ in range(requests)]
    service.stop(number)
    return list(await asyncio.gather(*(request.status() for request in sent)))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stop_loses_no_request_in_flight(
    tmp_path: Path, start_service: StartService, workers: int, number: signal.Signals
):
    write_slow(tmp_path, slow_ms=20)
    service = start_service(workers=workers)
    statuses = await stop_with_requests_in_flight(service, 100, number)
    assert statuses == [200] * 100
    assert service.wait() == 0
    assert "Traceback" not in service.log()


@pytest.fixture
def _signals_are_not_ignored() -> Iterator[None]:
    """Let no process started meanwhile inherit what `nohup`, or a shell that starts jobs, has set."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGQUIT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals_are_not_ignored")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
async def test_other_signals_stop_it_as_well_and_leave_nothing(
    tmp_path: Path, start_service: StartService, workers: int, number: signal.Signals
):
    write_slow(tmp_path, slow_ms=20)
    service = start_service(workers=workers)
    folder = shared_folder(service.process.pid)
    statuses = await stop_with_requests_in_flight(service, 50, number)
    assert statuses == [200] * 50
    assert service.wait() == 0
    assert not folder.exists()


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path: Path, start_service: StartService):
    write_slow(tmp_path, slow_ms=0)
    start = ("sh", "-c", f'trap "" HUP && cd {ROOT} && exec "$@"', "sh", sys.executable, "-m", "service")
    service = start_service(program=start)
    service.stop(signal.SIGHUP)
    for _ in range(10):
        assert service.get("/health/ready").status_code == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_ready_turns_off_at_once_while_work_goes_on(
    tmp_path: Path, start_service: StartService, workers: int
):
    write_slow(tmp_path, slow_ms=0)
    service = start_service(workers=workers, drain_delay_s=2)
    with service.client() as client:
        assert "connection" not in client.get("/health/ready").headers
    service.stop()
    stopped = time.monotonic()
    while service.get("/health/ready").status_code != 503:
        assert time.monotonic() - stopped < 0.5
    if workers > 1:  # both have been told by now
        time.sleep(max(0, stopped + 0.5 - time.monotonic()))
    while time.monotonic() - stopped < 1:
        ready, work = service.get("/health/ready"), service.get("/models")
        assert (ready.status_code, work.status_code) == (503, 200)
        assert (ready.headers["connection"], work.headers["connection"]) == ("close", "close")
    assert service.wait() == 0
    assert 2 <= time.monotonic() - stopped < 4


def listens(service: ServiceProcess) -> bool:
    url = httpx.URL(service.url)
    with socket.socket() as probe:
        return probe.connect_ex((url.host, url.port)) == 0


def post_once(service: ServiceProcess) -> int | None:
    """Return the status, or None if nobody listens any more; being cut off is an error."""
    with service.client() as client:
        try:
            return client.post("/decode", json=DECODE).status_code
        except httpx.ConnectError:
            return None


def test_requests_sent_all_through_the_drain_are_answered(tmp_path: Path, start_service: StartService):
    write_slow(tmp_path, slow_ms=2)
    service = start_service(drain_delay_s=1)
    service.stop()
    answered = 0
    while (status := post_once(service)) is not None:
        assert status == 200
        answered += 1
    assert answered > 5
    assert service.wait() == 0


def test_interrupt_does_not_wait_for_the_delay(tmp_path: Path, start_service: StartService):
    write_slow(tmp_path, slow_ms=0)
    service = start_service(drain_delay_s=30)
    service.stop(signal.SIGINT)
    started = time.monotonic()
    assert service.wait() == 0
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("workers", [1, 2])
def test_second_interrupt_cuts_off_what_is_in_flight(
    tmp_path: Path, start_service: StartService, workers: int
):
    write_slow(tmp_path, slow_ms=100)
    service = start_service(workers=workers)

    async def scenario() -> list[int]:
        sent = [await RawRequest.send(service, "/decode", DECODE) for _ in range(200)]
        service.stop(signal.SIGINT)
        await asyncio.to_thread(wait_until, lambda: not listens(service), "it stops to listen")
        service.stop(signal.SIGINT)
        return list(await asyncio.gather(*(request.status() for request in sent)))

    assert set(asyncio.run(scenario())) != {200}
    service.wait()
