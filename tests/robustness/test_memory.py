"""A great many requests of every kind: memory stays what it is."""

import asyncio
from pathlib import Path

import pytest

from support.load_clients import Connection, Tally
from support.mixed_requests import mixed
from support.process_resources import MIB, settled_bytes
from support.service_process import ServiceProcess, StartService
from support.tiny_shipped_checkpoints import write_fashion
from tools.robustness_table import Measured, forms

CLIENTS = 20
MOST_GROWN_MIB = 20


async def send(service: ServiceProcess, requests: int, seed: int) -> Tally:
    """Send mixed requests and check that each is answered as it should be."""
    tally, kinds = Tally(), mixed(seed)

    async def client() -> None:
        connection = await Connection.open(service.url)
        for one in (next(kinds) for _ in range(requests // CLIENTS)):
            tally.sent += 1
            connection.writer.write(one.content)
            answer = await connection.answer()
            tally.add(answer)
            assert answer.status in one.statuses, one.content[:200]
        await connection.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    tally.check()
    return tally


@pytest.mark.parametrize("workers", [1, 2])
@forms("counts", short=(1000, 1000), full=(3000, 100_000))
def test_mixed_requests_do_not_grow_the_process(
    tmp_path: Path, start_service: StartService, workers: int, counts: tuple[int, int], measured: Measured
):
    write_fashion(tmp_path / "checkpoints")
    service = start_service(workers=workers)
    warm_up, requests = counts
    asyncio.run(send(service, warm_up, seed=0))
    before = settled_bytes(service.workers())
    tally = asyncio.run(send(service, requests, seed=1))
    after = settled_bytes(service.workers())
    grown_mib = max((b - a) / MIB for a, b in zip(before, after, strict=True))
    measured(
        17,
        f"{workers} worker(s), {tally.sent:,} sent = {tally.ok:,} answered + {tally.refused:,} refused: "
        f"{grown_mib:+.1f} MiB",
    )
    assert tally.failed == []
    assert grown_mib < MOST_GROWN_MIB
