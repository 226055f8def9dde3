"""SIGTERM under load: what was accepted or only connected is answered, and rightly."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service import checkpoint
from support.expected_outputs import decoded
from support.load_clients import Connection, Tally
from support.raw_connection import Wire
from support.service_process import ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import describe_tiny, write_tiny
from tools.robustness_table import Measured, forms

IN_FLIGHT = 200
READY_LIMIT_S = 0.5
EXIT_LIMIT_S = 10
BODY = b'{"latents": [[0.1, 0.2, 0.3, 0.4]]}'
CLOSING = ("Connection: close", f"Content-Length: {len(BODY)}")
CALLERS = 32
BEFORE_STOP = 200
"""Requests of a round that are answered before the service is told to stop."""

LATENTS = [[i / IN_FLIGHT, 1 - i / IN_FLIGHT, 0.5, -0.5] for i in range(IN_FLIGHT)]


class Round:
    """One stop with requests in flight."""

    def __init__(self, service: ServiceProcess, expected: list[str]) -> None:
        self.service, self.expected = service, expected
        self.tally = Tally()
        self.wrong = 0
        self.turned_s = self.ended_s = 0.0

    async def run(self) -> None:
        connections = [await Connection.open(self.service.url) for _ in LATENTS]
        asking = [asyncio.create_task(self._ask(*each)) for each in zip(connections, LATENTS, strict=True)]
        await asyncio.sleep(0)
        stopped = time.monotonic()
        self.service.stop()
        while self.service.get("/health/ready").status_code != 503:
            assert time.monotonic() - stopped < READY_LIMIT_S
        self.turned_s = time.monotonic() - stopped
        images = await asyncio.gather(*asking)
        assert await asyncio.to_thread(self.service.wait) == 0
        self.ended_s = time.monotonic() - stopped
        self.wrong = sum(a != b for a, b in zip(images, self.expected, strict=True) if a is not None)
        self.tally.check()

    async def _ask(self, connection: Connection, latent: list[float]) -> str | None:
        """Return the image, None if the request is lost."""
        self.tally.sent += 1
        try:
            answer = await connection.ask("/decode", {"latents": [latent]})
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.tally.failed.append(repr(error))
            return None
        finally:
            await connection.close()
        self.tally.add(answer)
        return answer.json()["images"][0] if answer.status == 200 else None


@pytest.mark.parametrize("workers", [1, 2])
@forms("rounds", short=1, full=20)
def test_sigterm_loses_and_spoils_nothing(
    tmp_path: Path, start_service: StartService, workers: int, rounds: int, measured: Measured
):
    description, files = describe_tiny(
        operations=("decode",), default_for=("decode",), slow_ms=20, preferred_batch=8
    )
    checkpoint.write(tmp_path / "checkpoints", description, files)
    expected = decoded(*describe_tiny(operations=("decode",)), LATENTS)
    done = []
    for _ in range(rounds):
        done.append(Round(start_service(workers=workers, drain_delay_s=1), expected))
        asyncio.run(done[-1].run())
    sent, lost, wrong = (
        sum(one.tally.sent for one in done),
        sum(one.tally.sent - one.tally.ok for one in done),
        sum(one.wrong for one in done),
    )
    slowest_s = max(one.ended_s for one in done)
    measured(
        1,
        f"{workers} worker(s): {lost} of {sent:,} lost, {wrong} wrong; ready 503 after at most "
        f"{max(one.turned_s for one in done):.2f} s; exit within {slowest_s:.1f} s",
    )
    assert (sent, lost, wrong) == (rounds * IN_FLIGHT, 0, 0)
    assert slowest_s < EXIT_LIMIT_S


def call(service: ServiceProcess, tally: Tally) -> None:
    """Open a connection for every request, until nobody listens any more."""
    while True:
        try:
            wire = Wire(service)
        except ConnectionRefusedError:
            return
        tally.sent += 1
        with wire:
            try:
                assert wire.post("/decode", *CLOSING, body=BODY).answer().status_code == 200
                tally.ok += 1
            except (AssertionError, OSError) as error:  # refused, closed or reset
                tally.failed.append(repr(error))


def stop_under_load(service: ServiceProcess) -> list[Tally]:
    """Stop a service under full load; return what became of requests on all connections that were made."""
    tallies = [Tally() for _ in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as callers:
        calls = [callers.submit(call, service, tally) for tally in tallies]
        wait_until(lambda: sum(tally.ok for tally in tallies) >= BEFORE_STOP, "there is load")
        service.stop()
    for ended, tally in zip(calls, tallies, strict=True):
        ended.result()
        tally.check()
    assert service.wait() == 0
    return tallies


@pytest.mark.parametrize("workers", [1, 2])
@forms("rounds", short=2, full=20)
def test_sigterm_resets_no_connection(
    tmp_path: Path, start_service: StartService, workers: int, rounds: int, measured: Measured
):
    write_tiny(tmp_path / "checkpoints", operations=("decode",), default_for=("decode",))
    tallies: list[Tally] = []
    for _ in range(rounds):
        tallies += stop_under_load(start_service(workers=workers, drain_delay_s=0.5))
    sent = sum(tally.sent for tally in tallies)
    failed = [failure for tally in tallies for failure in tally.failed]
    measured(36, f"{workers} worker(s), {rounds} rounds: {len(failed)} of {sent:,} connected lost")
    assert failed == []
    assert sum(tally.ok for tally in tallies) == sent
