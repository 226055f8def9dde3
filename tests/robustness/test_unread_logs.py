"""Standard output and error that are closed, full, broken or not read: the service starts, serves, stops."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.load_clients import Connection, Tally
from support.service_process import ROOT, free_port, wait_until
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured, forms

CALLERS = 8
STOP_LIMIT_S = 10
START_LIMIT_S = 20
DECODE = {"latents": [[0.1, 0.2, 0.3, 0.4]]}
AS_IT_IS = ("sh", "-c", 'exec "$@"', "sh")
CLOSING = ("sh", "-c", 'exec "$@" >&- 2>&-', "sh")


@contextmanager
def full() -> Iterator[int]:
    """Open what has no room for anything."""
    with Path("/dev/full").open("wb") as file:
        yield file.fileno()


@contextmanager
def broken() -> Iterator[int]:
    """Open a pipe whose other end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def stalled() -> Iterator[int]:
    """Open a pipe that nobody reads."""
    reading, writing = os.pipe()
    yield writing
    os.close(writing)
    os.close(reading)


OUTPUTS = {"closed": (full, CLOSING), "full": (full, AS_IT_IS), "broken": (broken, AS_IT_IS)}
"""What standard output and error are, and what starts the service."""


class MuteService:
    """A service whose output goes nowhere."""

    def __init__(self, checkpoints: Path, workers: int, output: int, start: tuple[str, ...]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        flags = [f"--port={port}", f"--workers={workers}", f"--checkpoints={checkpoints}"]
        self.process = subprocess.Popen(
            [*start, sys.executable, "-m", "service", *flags, "--drain-delay-s=0.2"],
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )

    def __enter__(self) -> "MuteService":
        wait_until(self.is_ready, "it serves", START_LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def is_ready(self) -> bool:
        assert self.process.poll() is None
        try:
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def lost_lines(self) -> int:
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(
            int(float(line.split()[1])) for line in lines if line.startswith("latent_lost_log_lines_total ")
        )

    def worker_pids(self) -> list[int]:
        pid = self.process.pid
        return [int(worker) for worker in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop_s(self) -> float:
        """Stop it and return how long that took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_LIMIT_S) == 0
        return time.monotonic() - started


async def _call(url: str, tally: Tally, is_over: Callable[[], bool]) -> None:
    connection = await Connection.open(url)
    while not is_over():
        for path, body in (("/nope", None), ("/nope", None), ("/decode", DECODE)):
            tally.sent += 1
            tally.add(await connection.ask(path, body))
    await connection.close()


async def load(url: str, least_s: float, is_over: Callable[[], bool]) -> Tally:
    """Send for a while, and go on until `is_over`, what is logged (it is refused) and what is not."""
    tally = Tally()
    until_s = time.monotonic() + least_s
    ended = asyncio.Event()
    calling = [_call(url, tally, ended.is_set) for _ in range(CALLERS)]

    async def end() -> None:
        while time.monotonic() < until_s or not await asyncio.to_thread(is_over):
            await asyncio.sleep(0.1)
        ended.set()

    await asyncio.wait_for(asyncio.gather(end(), *calling), least_s + 60)
    return tally


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", OUTPUTS)
def test_output_that_cannot_be_written_stops_nothing(
    tmp_path: Path, kind: str, workers: int, measured: Measured
):
    write_tiny(tmp_path / "checkpoints", default_for=("decode",))
    opened, start = OUTPUTS[kind]
    with opened() as output, MuteService(tmp_path / "checkpoints", workers, output, start) as service:
        tally = asyncio.run(load(service.url, 1, lambda: service.lost_lines() > 0))
        wait_until(lambda: service.lost_lines() >= tally.refused, "all lost lines are counted")
        took_s = service.stop_s()
    tally.check()
    assert not tally.failed
    measured(
        30,
        f"{workers} worker(s), {kind}: {tally.sent:,} sent, all answered, {tally.refused:,} of their lines "
        f"lost and counted; stopped in {took_s:.1f} s",
    )


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@forms("stall_s", short=5, full=60)
def test_a_log_that_nobody_reads_stops_nothing(
    tmp_path: Path, workers: int, stall_s: float, measured: Measured
):
    write_tiny(tmp_path / "checkpoints", default_for=("decode",))
    with stalled() as output, MuteService(tmp_path / "checkpoints", workers, output, AS_IT_IS) as service:
        tally = asyncio.run(load(service.url, stall_s, lambda: service.lost_lines() > 0))
        lost = service.lost_lines()
        killed = service.worker_pids()[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in service.worker_pids(), "its end is noted")
        wait_until(lambda: len(service.worker_pids()) == workers and service.is_ready(), "it is replaced")
        took_s = service.stop_s()
    tally.check()
    assert not tally.failed
    measured(
        30,
        f"{workers} worker(s), not read for {stall_s} s: {tally.sent:,} sent, all answered, {lost:,} lines "
        f"lost and counted; stopped in {took_s:.1f} s",
    )


@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_refused_start_has_its_exit_code_all_the_same(kind: str):
    opened, start = OUTPUTS[kind]
    with opened() as output:
        command = [*start, sys.executable, "-m", "service", "--nonsense"]
        ended = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, timeout=START_LIMIT_S)
    assert ended.returncode == 2
