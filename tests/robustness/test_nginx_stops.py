"""A real nginx before two services that are stopped and started in turns: no request of a load fails."""

import asyncio
import signal
from pathlib import Path

import pytest

from support.coloured_versions import Load, write_version
from support.nginx import nginx_before
from support.service_process import StartService, free_port
from tools.robustness_table import Measured, forms

CLIENTS = 8


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@forms("requests", short=600, full=10_000)
async def test_stops_and_reloads_under_load_fail_nothing(
    tmp_path: Path, start_service: StartService, nginx: str, workers: int, requests: int, measured: Measured
):
    """Two services take turns: one of them is stopped and started again, while versions are published."""
    write_version(tmp_path, 1)
    ports = [free_port(), free_port()]
    services = [start_service(port=port, workers=workers) for port in ports]
    stops, version = 0, 1
    with nginx_before(nginx, tmp_path / "nginx", ports, strips_prefix=True) as site:
        load = Load(site, CLIENTS, pause_s=0)
        running = asyncio.create_task(load.run())
        while load.sent < requests:
            which = stops % 2
            services[which].stop(signal.SIGTERM)
            assert await asyncio.to_thread(services[which].wait) == 0
            version += 1
            write_version(tmp_path, version)
            services[which] = await asyncio.to_thread(start_service, port=ports[which], workers=workers)
            stops += 1
            await wait_until_asked(load, requests * stops // 8)
        load.going = False
        await running
    assert load.failures == []
    assert load.wrong == 0
    assert len(load.versions) > 1
    words = f"{stops} stops of a service and {version - 1} new versions"
    measured(33, f"{workers} worker(s): 0 of {load.sent:,} failed through {words}")


async def wait_until_asked(load: Load, count: int) -> None:
    """Wait until so many requests have been sent."""
    while load.sent < count:
        await asyncio.sleep(0.01)
