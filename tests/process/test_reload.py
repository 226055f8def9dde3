"""New versions take over under load, without a failure and without a mixture."""

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.coloured_versions import DECODE, Load, write_bad_version, write_version
from support.service_process import StartService, wait_until
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured, forms

CLIENTS = 4
PAUSE_S = 0.08
"""With it the clients send 50 requests per second together."""

BAD_EVERY = 5
"""Every so many versions one is bad."""


@pytest.mark.parametrize("workers", [1, 2])
@forms("swaps", short=10, full=100)
async def test_each_answer_has_the_colour_of_its_version(
    tmp_path: Path, start_service: StartService, workers: int, swaps: int, measured: Measured
):
    write_version(tmp_path, 1)
    service = start_service(workers=workers, reload_interval_s=0.1)
    load = Load(service.url, CLIENTS, PAUSE_S)
    running = asyncio.create_task(load.run())
    started, version, good = time.monotonic(), 1, {1}
    await seen(load, lambda: bool(load.versions))
    while len(good) <= swaps:
        version += 1
        if version % BAD_EVERY == 0:
            await asyncio.to_thread(write_bad_version, tmp_path, version)
            await seen(load, lambda version=version: f"refused tiny/{version}: " in service.log())
        else:
            await asyncio.to_thread(write_version, tmp_path, version)
            await seen(load, lambda version=version: version in load.versions)
            good.add(version)
    load.going = False
    await running
    seconds = time.monotonic() - started
    measured(
        11,
        f"{workers} worker(s): {swaps} swaps and {version - len(good)} bad versions in {seconds:.0f} s at "
        f"{load.sent / seconds:.0f} requests/s: {len(load.failures)} of {load.sent:,} failed, "
        f"{load.wrong} of another colour",
    )
    assert load.failures == []
    assert load.wrong == 0
    assert load.versions == good


async def seen(load: Load, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition() and not load.failures:
            await asyncio.sleep(0.005)


def test_bad_version_leaves_the_old_one_and_says_why(tmp_path: Path, start_service: StartService):
    write_version(tmp_path, 1)
    service = start_service()
    write_bad_version(tmp_path, 2)

    def model() -> dict[str, object]:
        return service.get("/models/tiny").json()

    wait_until(lambda: model()["reason"], "it is refused")
    assert "version 2: decode.onnx does not match" in str(model()["reason"])
    assert (model()["version"], model()["state"]) == (1, "serving")
    assert service.get("/health/ready").status_code == 200
    with service.client() as client:
        assert client.post("/decode", json=DECODE).json()["version"] == 1


def test_added_and_removed_names_come_and_go(tmp_path: Path, start_service: StartService):
    write_version(tmp_path, 1)
    service = start_service()

    def names() -> list[str]:
        return [model["name"] for model in service.get("/models").json()["models"]]

    folder = write_tiny(tmp_path / "checkpoints", "other")
    wait_until(lambda: names() == ["other", "tiny"], "the new name serves")
    shutil.rmtree(folder.parent)
    wait_until(lambda: names() == ["tiny"], "the removed name is gone")


def test_reloading_does_not_grow_the_process(tmp_path: Path, start_service: StartService):
    write_version(tmp_path, 1)
    service = start_service(reload_interval_s=0.02)

    def resident_kb() -> int:
        status = Path(f"/proc/{service.workers()[0]}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def swap_to(version: int) -> None:
        write_version(tmp_path, version)
        wait_until(lambda: service.get("/models/tiny").json()["version"] == version, "it serves")

    for version in range(2, 12):
        swap_to(version)
    before = resident_kb()
    for version in range(12, 42):
        swap_to(version)
    assert resident_kb() - before < 8_000


def test_reload_interval_of_zero_loads_once(tmp_path: Path, start_service: StartService):
    write_version(tmp_path, 1)
    service = start_service(reload_interval_s=0)
    other = start_service(reload_interval_s=0.05)
    write_version(tmp_path, 2)
    wait_until(lambda: other.get("/models/tiny").json()["version"] == 2, "the one that polls has seen it")
    assert service.get("/models/tiny").json()["version"] == 1
