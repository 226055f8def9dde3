"""One serving process: from its first answer to an end that loses no request."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from service.coordination.connection_counts import ABSENT, ConnectionCounts
from service.coordination.heartbeats import Heartbeats
from service.http.connection import Connection
from service.http.listener import listen
from service.workers.worker import Server, WorkerHandles
from support.in_process import make_app
from support.tiny_checkpoints import write_tiny

OF_THE_APPLICATION = set(WorkerHandles._fields) - {"connection_count", "heartbeat", "parent"}
"""What a server hands on; here the application was made without."""

LATENTS = {"latents": [[0.0] * 4]}


class Worker:
    """A server in this process, and the supervisor's end of what ties it to one."""

    def __init__(self, checkpoints: Path, **settings: Any) -> None:
        self.app = make_app(checkpoints, **settings)
        self.count = ConnectionCounts(1).worker(0)
        self.heartbeats = Heartbeats(1, 1)
        self.listener = listen("127.0.0.1", 0)
        self.url = "http://{}:{}".format(*self.listener.getsockname())
        self.parent, self.supervisor = os.pipe()
        config = uvicorn.Config(
            self.app, http=Connection, ws="none", lifespan="on", log_config=None, server_header=False
        )
        handles = WorkerHandles(
            connection_count=self.count,
            heartbeat=self.heartbeats.heartbeat(0),
            parent=self.parent,
            **dict.fromkeys(OF_THE_APPLICATION),  # type: ignore[arg-type]
        )
        self.server = Server(config, self.app, self.app.state.settings, handles, announce=True)
        self.client = httpx.AsyncClient(base_url=self.url)

    def lose_supervisor(self) -> None:
        """Close the supervisor's end, as its death does."""
        os.close(self.supervisor)


@asynccontextmanager
async def serving(checkpoints: Path, **settings: Any) -> AsyncIterator[Worker]:
    """Serve until the supervisor is gone, which it is in the end."""
    worker = Worker(checkpoints, **settings)
    running = asyncio.create_task(worker.server.serve(sockets=[worker.listener]))
    async with asyncio.timeout(20):
        while not worker.server.started:
            await asyncio.sleep(0.001)
        yield worker
        await running
    await worker.client.aclose()
    os.close(worker.parent)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    write_tiny(tmp_path, "tiny", operations=("decode",))
    return tmp_path


async def test_it_says_where_and_what_it_serves_and_shows_signs_of_life(
    tiny: Path, capfd: pytest.CaptureFixture[str]
):
    async with serving(tiny) as worker:
        said = ""
        while not said:
            said = capfd.readouterr().out
            await asyncio.sleep(0.001)
        assert said == f"{worker.url} serves tiny@1\n"
        assert worker.heartbeats.check() == []
        assert (await worker.client.get("/health/ready")).status_code == 200
        assert worker.count.count == 1
        worker.lose_supervisor()
    assert worker.count.count > ABSENT - 2  # whatever it still held when it left


async def test_without_its_supervisor_it_drains_and_ends(tiny: Path):
    async with serving(tiny, drain_delay_s=0.5) as worker:
        worker.lose_supervisor()
        lost_s = time.monotonic()
        async with asyncio.timeout(5):
            while (answer := await worker.client.get("/health/ready")).status_code == 200:
                await asyncio.sleep(0.001)
        assert (answer.status_code, answer.headers["connection"]) == (503, "close")
        assert (await worker.client.post("/decode", json=LATENTS)).status_code == 200
    assert time.monotonic() - lost_s >= 0.5
    async with httpx.AsyncClient(base_url=worker.url) as late:
        with pytest.raises(httpx.TransportError):
            await late.get("/health/live", timeout=0.5)


async def test_a_request_in_flight_is_answered_before_the_end(tmp_path: Path):
    write_tiny(tmp_path, "slow", operations=("decode",), slow_ms=10)
    async with serving(tmp_path) as worker:
        asking = asyncio.create_task(worker.client.post("/decode", json=LATENTS, timeout=20))
        async with asyncio.timeout(5):
            while not worker.server.server_state.tasks:
                await asyncio.sleep(0.001)
        worker.lose_supervisor()
    assert (await asking).status_code == 200
