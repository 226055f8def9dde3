"""Streams of lines on the wire: as long as they take, no faster than read, gone with their client."""

import asyncio
import random
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.media import png
from support.duplex_request import Duplex
from support.process_resources import MIB, descriptors, forget_peak, peak_bytes, settled_bytes
from support.service_process import ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny

MANY = 10_000
MOST_GROWN_MIB = 50
FILES = [png.write(one) for one in np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)]
STEP_S = 0.05
REQUEST_S = 3
"""Limit of a request and of each step of a stream: many times what a step takes, for the machine is busy."""


def write_checkpoints(root: Path) -> None:
    """tiny is fast, slow takes 50 ms for every step, large makes a megabyte of lines in a moment."""
    write_tiny(root / "checkpoints", "tiny", default_for=("encode", "decode", "generate"), size=28)
    write_tiny(root / "checkpoints", "slow", slow_ms=STEP_S * 1e3)
    write_tiny(root / "checkpoints", "large", operations=("generate",), channels=3, size=128)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("streams")
    write_checkpoints(root)
    limits = {
        "request_timeout_s": REQUEST_S,
        "body_timeout_s": 2,
        "reader_timeout_s": 2,
        "max_stream_images": 20_000,
    }
    with ServiceProcess(root / "checkpoints", root / "log", max_body_bytes=200_000, **limits) as process:
        yield process


async def read(stream: Duplex) -> list[dict[str, Any]]:
    return [line async for line in stream.lines()]


def ask(service: ServiceProcess, body: dict[str, Any], path: str = "/generate", **headers: str) -> Any:
    async def run() -> list[dict[str, Any]]:
        async with Duplex(service.url, path, body, **headers) as stream:
            return await read(stream)

    return asyncio.run(run())


def rows_run(service: ServiceProcess, model: str) -> float:
    """Return how many rows the graphs of a model have run on."""
    lines = service.get("/metrics").text.splitlines()
    found = [
        line for line in lines if line.startswith("latent_batch_rows_sum{") and f'model="{model}"' in line
    ]
    return sum(float(line.split()[-1]) for line in found)


def test_a_stream_may_take_longer_than_a_request(service: ServiceProcess):
    started_s = time.monotonic()
    *found, end = ask(service, {"model": "slow", "count": 32 * 120})
    assert time.monotonic() - started_s > 1.5 * REQUEST_S
    assert end["done"]["count"] == len(found) == 32 * 120


def test_a_body_may_be_longer_than_that_of_a_request(service: ServiceProcess):
    async def run() -> list[dict[str, Any]]:
        async with Duplex(service.url, "/encode") as stream:
            sending = asyncio.ensure_future(stream.send_images(FILES, 1000))
            found = await read(stream)
            await sending
        return found

    *found, end = asyncio.run(run())
    assert end["done"]["count"] == len(found) == 1000
    assert [line["index"] for line in found] == list(range(1000))
    assert found[3]["latent"] == found[23]["latent"]


def test_a_body_may_announce_its_length(service: ServiceProcess):
    line = b'{"image": "%b"}\n' % b64encode(FILES[0])
    with service.client(headers={"content-type": "application/x-ndjson"}) as client:
        answer = client.post("/encode", content=line * 200)
    assert len(line) * 200 > 200_000
    assert answer.content.count(b"\n") == 201


def test_one_line_may_not_be_longer_than_a_body(service: ServiceProcess):
    with service.client(headers={"content-type": "application/x-ndjson"}) as client:
        answer = client.post("/encode", content=b'{"image": "' + b"A" * 1_000_000)
    assert answer.status_code == 413


def test_an_answer_comes_before_the_next_line_is_sent(service: ServiceProcess):
    async def run() -> None:
        async with Duplex(service.url, "/encode") as stream:
            answers = stream.lines()
            for number in range(5):
                await stream.send(b'{"image": "%b"}\n' % b64encode(FILES[number]))
                assert (await anext(answers))["index"] == number
            await stream.end()
            assert (await anext(answers))["done"]["count"] == 5

    asyncio.run(run())


def test_a_body_that_stops_is_ended_in_its_last_line(service: ServiceProcess):
    async def run() -> list[dict[str, Any]]:
        async with Duplex(service.url, "/encode") as stream:
            await stream.send(b'{"image": "%b"}\n' % b64encode(FILES[0]))
            return await read(stream)

    first, end = asyncio.run(run())
    assert first["index"] == 0
    assert (end["error"]["status"], end["error"]["code"]) == (408, "request-timeout")


def test_a_first_step_beyond_its_deadline_is_refused(service: ServiceProcess):
    hurried = {"x_request_timeout_s": "0.04"}
    (problem,) = ask(service, {"model": "slow", "count": 64}, **hurried)
    assert problem["code"] == "deadline-exceeded"


def test_too_many_are_refused_or_ended(service: ServiceProcess):
    (problem,) = ask(service, {"count": 20_001})
    assert problem["errors"][0]["loc"] == ["body", "count"]

    async def run() -> list[dict[str, Any]]:
        async with Duplex(service.url, "/encode") as stream:
            sending = asyncio.ensure_future(stream.send_images(FILES[:1], 20_001))
            found = await read(stream)
            sending.cancel()
        return found

    *found, end = asyncio.run(run())
    assert "at most 20000" in end["error"]["detail"]
    assert len(found) <= 20_000


def test_the_work_stops_when_the_client_goes(service: ServiceProcess):
    async def run() -> None:
        async with Duplex(service.url, "/generate", {"model": "slow", "count": 20_000}) as stream:
            answers = stream.lines()
            for _ in range(100):
                await anext(answers)

    asyncio.run(run())
    wait_until(lambda: _is_still(service, "slow"), "nothing runs any more")
    assert rows_run(service, "slow") < 15_000


def _is_still(service: ServiceProcess, model: str) -> bool:
    before = rows_run(service, model)
    time.sleep(5 * STEP_S)
    return rows_run(service, model) == before


def test_a_client_that_goes_in_the_middle_of_its_body_leaves_nothing(service: ServiceProcess):
    async def run() -> None:
        async with Duplex(service.url, "/encode") as stream:
            await stream.send(b'{"image": "%b"}\n{"ima' % b64encode(FILES[0]))
            await anext(stream.lines())

    (pid,) = service.workers()
    before = service.tasks(pid)
    for _ in range(10):
        asyncio.run(run())
    wait_until(lambda: service.tasks(pid) <= before, "no task is left")
    assert "Traceback" not in service.log()


def test_a_reader_that_pauses_holds_the_work_and_not_the_memory(tmp_path: Path, start_service: StartService):
    write_checkpoints(tmp_path)
    service = start_service(reader_timeout_s=30, request_timeout_s=2)
    (pid,) = service.workers()
    with service.client() as client:
        assert client.post("/generate", json={"model": "large", "count": 32}).status_code == 200
    (before,) = settled_bytes([pid])
    forget_peak(pid)

    async def run() -> int:
        async with Duplex(service.url, "/generate", {"model": "large", "count": 2000}) as stream:
            answers = stream.lines()
            await anext(answers)
            await asyncio.to_thread(wait_until, lambda: _is_still(service, "large"), "the work is held")
            assert rows_run(service, "large") < 1900
            await asyncio.sleep(2.5)  # longer than a request may take
            return 1 + len([line async for line in answers])

    assert asyncio.run(run()) == 2001
    grown_mib = (peak_bytes(pid) - before) / MIB
    print(f"a paused reader: {grown_mib:+.1f} MiB at most")
    assert grown_mib < MOST_GROWN_MIB


def test_a_reader_that_never_comes_back_is_let_go(service: ServiceProcess):
    async def run() -> None:
        async with Duplex(service.url, "/generate", {"model": "large", "count": 20_000}) as stream:
            answers = stream.lines()
            await anext(answers)
            await asyncio.to_thread(wait_until, lambda: _is_still(service, "large"), "the work is held")
            await asyncio.sleep(4.5)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                async for _ in answers:
                    pass

    asyncio.run(run())


def test_a_process_that_stops_ends_its_streams_in_their_last_line(
    tmp_path: Path, start_service: StartService
):
    write_checkpoints(tmp_path)
    service = start_service(request_timeout_s=1, max_stream_images=1_000_000)

    async def run() -> list[dict[str, Any]]:
        async with Duplex(service.url, "/generate", {"model": "slow", "count": 100_000}) as stream:
            answers = stream.lines()
            await anext(answers)
            service.process.terminate()
            return [line async for line in answers]

    *found, end = asyncio.run(run())
    assert end["error"]["code"] == "deadline-exceeded"
    assert len(found) > 32
    assert service.process.wait(10) == 0
    assert "Traceback" not in service.log()


@pytest.mark.parametrize("workers", [1, 2])
def test_ten_thousand_images_in_one_request_take_no_memory(
    tmp_path: Path, start_service: StartService, workers: int
):
    """The same client reads and sends, and holds one line at a time."""
    write_checkpoints(tmp_path)
    service = start_service(workers=workers)

    async def generate() -> int:
        async with Duplex(service.url, "/generate", {"count": MANY, "seed": 1}) as stream:
            return sum([1 async for line in stream.lines() if "image" in line])

    async def encode() -> int:
        async with Duplex(service.url, "/encode") as stream:
            sending = asyncio.ensure_future(stream.send_images(FILES, MANY))
            count = sum([1 async for line in stream.lines() if "latent" in line])
            await sending
            return count

    async def both() -> list[int]:
        return await asyncio.gather(generate(), encode())

    warm_up = [service.client() for _ in range(4)]
    for client in warm_up:
        client.post("/generate", json={"count": 32})
        client.close()
    before = settled_bytes(service.workers())
    for pid in service.workers():
        forget_peak(pid)
    started_s = time.monotonic()
    assert asyncio.run(both()) == [MANY, MANY]
    took_s = time.monotonic() - started_s
    grown_mib = max((peak_bytes(pid) - b) / MIB for pid, b in zip(service.workers(), before, strict=True))
    print(f"{workers} worker(s): 2 x {MANY:,} images in {took_s:.1f} s, {grown_mib:+.1f} MiB at most")
    assert grown_mib < MOST_GROWN_MIB


def test_a_stream_waits_where_others_are_refused(tmp_path: Path, start_service: StartService):
    write_checkpoints(tmp_path)
    service = start_service(max_images=32, max_count=32, queue_rows=32)
    body = {"model": "slow", "count": 32}

    async def press(until_s: float) -> list[int]:
        statuses = []
        async with httpx.AsyncClient(base_url=service.url, verify=False) as client:
            while time.monotonic() < until_s:
                statuses.append((await client.post("/generate", json=body)).status_code)
        return statuses

    async def run() -> list[int]:
        async with Duplex(service.url, "/generate", body | {"count": 640}) as stream:
            answers = stream.lines()
            await anext(answers)
            until_s = time.monotonic() + 2
            pressing = [asyncio.ensure_future(press(until_s)) for _ in range(4)]
            *found, end = [line async for line in answers]
            assert end["done"]["count"] == 1 + len(found) == 640
            return [status for one in pressing for status in await one]

    statuses = asyncio.run(run())
    assert set(statuses) == {200, 429}


def test_a_hundred_streams_cut_off_anywhere_leave_nothing(tmp_path: Path, start_service: StartService):
    write_checkpoints(tmp_path)
    service = start_service(workers=2)
    dice = random.Random(0)

    async def vanish(number: int) -> None:
        body = {"model": "slow", "count": 10_000} if number % 2 else None
        async with Duplex(service.url, "/generate" if body else "/encode", body) as stream:
            if not body:
                await stream.send(
                    b'{"image": "%b"}\n' % b64encode(FILES[0]) * dice.randrange(2, 40) + b'{"im'
                )
            answers = stream.lines()
            for _ in range(dice.randrange(3)):
                await anext(answers)
            await asyncio.sleep(dice.random() / 5)

    async def many() -> None:
        await asyncio.gather(*(vanish(number) for number in range(100)))

    def held() -> dict[int, tuple[int, int]]:
        return {pid: (service.tasks(pid), descriptors(pid)) for pid in service.workers()}

    asyncio.run(many())
    wait_until(lambda: _is_still(service, "slow"), "nothing runs any more")
    before = held()
    asyncio.run(many())
    wait_until(lambda: _is_still(service, "slow"), "nothing runs any more")
    wait_until(
        lambda: all(a <= b + 1 for pid in before for a, b in zip(held()[pid], before[pid], strict=True)),
        f"nothing is held; before {before}",
    )
    assert service.get("/health/ready").status_code == 200
    assert "Traceback" not in service.log()
