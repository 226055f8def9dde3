"""Four times as many requests as can be answered: the work that is done is the work that can be done."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from support.load_clients import Connection, Tally
from support.process_resources import cpu_seconds
from support.service_process import ServiceProcess, StartService
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured

SLOW_MS = 30
ROWS = 4
"""Rows of a request, and of a run: a request is a run."""

TIMES = 4
CLIENTS_AT_PEAK = 8
CONNECTIONS = 64
GOODPUT = 0.9
REFUSAL_LIMIT_S = 0.05
LIVE_LIMIT_S = 0.1
BODY = {"latents": [[0.0] * 4] * ROWS}


class Rate(NamedTuple):
    """Answers per second, and per second of processor time."""

    per_s: float
    per_cpu_s: float


class Load:
    """Requests at a steady rate, whatever becomes of them."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service
        self.tally = Tally()
        self.refused_s: list[float] = []
        self.live_s: list[float] = []
        self.going = True

    async def peak(self, seconds: float) -> Rate:
        """Return how fast requests are answered when as many wait as are needed to be busy."""
        answered = 0
        used_s = cpu_seconds(self.service.workers())

        async def client() -> None:
            nonlocal answered
            connection = await Connection.open(self.service.url)
            while time.monotonic() < end:
                assert (await connection.ask("/decode", BODY)).status == 200
                answered += time.monotonic() < end
            await connection.close()

        end = time.monotonic() + seconds
        await asyncio.gather(*(client() for _ in range(CLIENTS_AT_PEAK)))
        return Rate(answered / seconds, answered / (cpu_seconds(self.service.workers()) - used_s))

    async def run(self, rate: float, seconds: float) -> Rate:
        """Send at `rate` for so many seconds, and return how fast requests were answered."""
        idle: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            idle.put_nowait(await Connection.open(self.service.url))
        looking = asyncio.create_task(self._look_whether_it_lives())
        started, used_s = time.monotonic(), cpu_seconds(self.service.workers())
        asking = []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            asking.append(asyncio.create_task(self._ask(idle, await idle.get())))
        took_s = time.monotonic() - started
        rate_reached = Rate(
            self.tally.ok / took_s, self.tally.ok / (cpu_seconds(self.service.workers()) - used_s)
        )
        await asyncio.gather(*asking)
        self.going = False
        await looking
        while not idle.empty():
            await idle.get_nowait().close()
        self.tally.check()
        return rate_reached

    async def _ask(self, idle: asyncio.Queue[Connection], connection: Connection) -> None:
        self.tally.sent += 1
        started = time.monotonic()
        answer = await connection.ask("/decode", BODY)
        self.tally.add(answer)
        if answer.status != 200:
            assert answer.json()["code"] == "queue-full"
            self.refused_s.append(time.monotonic() - started)
        idle.put_nowait(connection)

    async def _look_whether_it_lives(self) -> None:
        connection = await Connection.open(self.service.url)
        while self.going:
            started = time.monotonic()
            assert (await connection.ask("/health/live")).status == 200
            self.live_s.append(time.monotonic() - started)
            await asyncio.sleep(0.02)
        await connection.close()


@pytest.mark.parametrize(
    ("workers", "seconds"),
    [
        pytest.param(1, 4, id="short", marks=pytest.mark.alone),
        pytest.param(1, 60, id="full, 1 worker", marks=pytest.mark.chaos),
        pytest.param(2, 60, id="full, 2 workers", marks=pytest.mark.chaos),
    ],
)
async def test_overload_costs_nobody_but_those_refused(
    tmp_path: Path, start_service: StartService, workers: int, seconds: float, measured: Measured
):
    write_tiny(
        tmp_path / "checkpoints",
        operations=("decode",),
        default_for=("decode",),
        slow_ms=SLOW_MS,
        preferred_batch=ROWS,
    )
    limits = {"queue_rows": 8 * ROWS, "max_count": ROWS, "max_images": ROWS}
    service = start_service(workers=workers, **limits)
    load = Load(service)
    before = await load.peak(min(seconds, 10))
    reached = await load.run(TIMES * before.per_s, seconds)
    peak = (before.per_s + (await load.peak(min(seconds, 10))).per_s) / 2
    # Where other work on the machine comes and goes, what the service makes of its processor time counts.
    goodput = max(reached.per_s / peak, reached.per_cpu_s / before.per_cpu_s)
    refused_s, live_s = (float(np.quantile(times, 0.99)) for times in (load.refused_s, load.live_s))
    tally = load.tally
    measured(
        14,
        f"{workers} worker(s): {reached.per_s:.1f}/s, at the peak {peak:.1f}/s (per second of processor time "
        f"{reached.per_cpu_s:.1f} and {before.per_cpu_s:.1f}); {tally.sent:,} sent = {tally.ok:,} answered + "
        f"{tally.refused:,} refused; p99 of refusals {refused_s * 1e3:.0f} ms, of /health/live "
        f"{live_s * 1e3:.0f} ms",
    )
    assert load.tally.failed == []
    assert goodput > GOODPUT
    assert refused_s < REFUSAL_LIMIT_S
    assert live_s < LIVE_LIMIT_S
