"""Clients that vanish in the middle of their request, or before its answer: nothing of them stays."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.load_clients import Connection, Tally
from support.mixed_requests import Mixed, mixed
from support.process_resources import descriptors, threads
from support.service_process import ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny
from support.tiny_shipped_checkpoints import write_fashion
from tools.robustness_table import Measured, forms

CLIENTS = 40
CUT_SHARE = 0.3
MORE = 2


class Clients:
    """Callers of whom some hang up at a random byte, or with the answer unread."""

    def __init__(self, service: ServiceProcess, seed: int) -> None:
        self.address = httpx.URL(service.url)
        self.url = service.url
        self.requests = mixed(seed)
        self.dice = random.Random(seed)
        self.tally = Tally()
        self.cut = 0
        self.wrong: list[str] = []

    async def run(self, requests: int) -> None:
        await asyncio.gather(*(self._call(requests // CLIENTS) for _ in range(CLIENTS)))
        assert self.tally.sent == self.cut + self.tally.ok + self.tally.refused + len(self.tally.failed)

    async def _call(self, requests: int) -> None:
        connection = None
        for one in (next(self.requests) for _ in range(requests)):
            self.tally.sent += 1
            if self.dice.random() < CUT_SHARE:
                await self._vanish(one)
                continue
            connection = connection or await Connection.open(self.url)
            connection.writer.write(one.content)
            answer = await connection.answer()
            self.tally.add(answer)
            if answer.status not in one.statuses:
                self.wrong.append(f"{answer.status} for {one.content[:200]!r}")
        if connection:
            await connection.close()

    async def _vanish(self, one: Mixed) -> None:
        """Send a part of a request, or all of it, and hang up: politely, or by a reset."""
        self.cut += 1
        _, writer = await asyncio.open_connection(self.address.host, self.address.port)
        writer.write(one.content[: self.dice.randrange(len(one.content) + 1)])
        await writer.drain()
        await asyncio.sleep(self.dice.choice((0, 0, 0.001, 0.01)))
        if self.dice.random() < 0.5:
            writer.transport.abort()
        writer.close()


def held(service: ServiceProcess) -> dict[int, tuple[int, int, int]]:
    """Return what each worker holds: tasks, threads, descriptors."""
    return {pid: (service.tasks(pid), threads(pid), descriptors(pid)) for pid in service.workers()}


def queue_rows(service: ServiceProcess) -> float:
    lines = service.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("latent_queue_rows{"))


@pytest.mark.parametrize("workers", [1, 2])
@forms("counts", short=(600, 1200), full=(3000, 10_000))
def test_clients_that_vanish_leave_nothing_behind(
    tmp_path: Path, start_service: StartService, workers: int, counts: tuple[int, int], measured: Measured
):
    write_fashion(tmp_path / "checkpoints")
    write_tiny(tmp_path / "checkpoints", "slow", slow_ms=8)
    service = start_service(workers=workers)
    warm_up, requests = counts
    asyncio.run(Clients(service, seed=0).run(warm_up))
    wait_until(lambda: queue_rows(service) == 0, "the queue is empty")
    # Threads start when they are first needed: a worker that had less to do so far may still need them.
    before = [max(one) for one in zip(*held(service).values(), strict=True)]
    clients = Clients(service, seed=1)
    asyncio.run(clients.run(requests))
    wait_until(lambda: queue_rows(service) == 0, "the queue is empty")

    def more() -> Iterator[int]:
        for now in held(service).values():
            yield from (a - b for a, b in zip(now, before, strict=True))

    wait_until(lambda: max(more()) <= MORE, f"nothing is held; before {before}")
    tally = clients.tally
    measured(
        9,
        f"{workers} worker(s): {tally.sent:,} sent = {clients.cut:,} cut off + {tally.ok:,} answered + "
        f"{tally.refused:,} refused + {len(tally.failed)} failed; queue 0; tasks, threads and descriptors "
        f"{max(more()):+d} at most",
    )
    assert clients.wrong == []
    assert tally.failed == []
    assert clients.cut > requests * CUT_SHARE / 2
    assert "Traceback" not in service.log()
