"""Damaged new versions, one after another, beside one that serves: each is refused, by its number."""

import asyncio
import itertools
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from service import checkpoint
from support.hostile_checkpoints import rename_graph, reseal
from support.load_clients import Connection, Tally
from support.service_process import ServiceProcess, StartService
from support.tiny_checkpoints import describe_tiny, write_tiny
from tools.robustness_table import Measured, forms

LIMIT_S = 1.0
POLL_S = 0.02
DECODE = {"latents": [[0.0] * 4]}
OFFERED = ("decode", "generate")

Files = dict[str, bytes]
Damage = Callable[[Path], None]


def lie(*path: str | int) -> Damage:
    """Return a change of one value of the manifest, whose hash then fits again."""
    *keys, last, value = path

    def change(manifest: Any) -> None:
        for key in keys:
            manifest = manifest[key]
        manifest[last] = value

    return lambda folder: reseal(folder, change)


def with_nan(folder: Path) -> None:
    """Set a weight to NaN in a graph whose hashes all fit."""
    model = onnx.load_from_string((folder / "decode.onnx").read_bytes())
    for tensor in model.graph.initializer:
        weight = numpy_helper.to_array(tensor).copy()
        if weight.ndim == 2:
            weight.flat[0] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    raw = model.SerializeToString()
    (folder / "decode.onnx").write_bytes(raw)
    record = {"sha256": checkpoint.sha256(raw), "bytes": len(raw)}
    reseal(folder, lambda manifest: manifest["files"].update({"decode.onnx": record}))


LIES: list[Damage] = [
    with_nan,
    lie("schema", 2),
    lie("version", 1),
    lie("name", "other"),
    lie("latent", "shape", [5]),
    lie("image", "height", 9),
    lie("classes", ["x", "y"]),
    lie("operations", {}),
    lie("operations", "decode", "inputs", 0, "dtype", "int64"),
    lie("operations", "decode", "preferred_batch", 0),
    lie("files", "decode.onnx", "bytes", 3),
    lie("files", "decode.onnx", "sha256", "0" * 64),
    lie("golden", "file", "other.npz"),
    lie("golden", "tolerance", -1.0),
    lambda folder: reseal(folder, rename_graph("gone.onnx")),
]


def cut(name: str, part: float) -> Damage:
    """Return a cut of a file after a part of its bytes."""

    def change(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        end = 64 if name == checkpoint.MANIFEST_HASH else len(whole)
        (folder / name).write_bytes(whole[: int(part * end)])

    return change


def flip(name: str, part: float, bit: int) -> Damage:
    """Return a flip of one bit of a file."""

    def change(folder: Path) -> None:
        spoilt = bytearray((folder / name).read_bytes())
        end = 64 if name == checkpoint.MANIFEST_HASH else len(spoilt)
        spoilt[int(part * end)] ^= 1 << bit
        (folder / name).write_bytes(spoilt)

    return change


def damages(cuts: int, flips: int) -> Iterator[Damage]:
    dice = random.Random(0)
    names = itertools.cycle(("checkpoint.json", "checkpoint.sha256", "decode.onnx", "golden.npz"))
    yield from LIES
    yield from (cut(next(names), dice.random()) for _ in range(cuts))
    yield from (flip(next(names), dice.random(), dice.randrange(8)) for _ in range(flips))


class Onlooker:
    """A client of the version that serves, for as long as the others come and go."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service
        self.tally = Tally()
        self.going = True

    async def run(self) -> None:
        connection = await Connection.open(self.service.url)
        while self.going:
            self.tally.sent += 1
            answer = await connection.ask("/decode", DECODE)
            self.tally.add(answer)
            assert answer.json()["version"] == 1
            await asyncio.sleep(0.01)
        await connection.close()
        self.tally.check()


@pytest.mark.parametrize("workers", [1, 2])
@forms("counts", short=(12, 24), full=(100, 1000))
async def test_every_damaged_version_is_refused_in_time_and_the_old_one_answers(
    tmp_path: Path, start_service: StartService, workers: int, counts: tuple[int, int], measured: Measured
):
    write_tiny(tmp_path / "checkpoints", operations=OFFERED, default_for=("decode",))
    description, files = describe_tiny(operations=OFFERED)
    service = start_service(workers=workers, reload_interval_s=POLL_S)
    onlooker = Onlooker(service)
    looking = asyncio.create_task(onlooker.run())
    slowest_s, refused = 0.0, 0
    for version, damage in enumerate(damages(*counts), start=2):
        folder = checkpoint.write(tmp_path / "made", description | {"version": version}, files)
        damage(folder)
        started = time.monotonic()
        placed = folder.rename(tmp_path / "checkpoints" / "tiny" / str(version))
        while f"refused tiny/{version}:" not in service.log():
            assert time.monotonic() - started < LIMIT_S + POLL_S, f"version {version} is not refused"
            assert not looking.done()
            await asyncio.sleep(0.005)
        slowest_s = max(slowest_s, time.monotonic() - started)
        refused += 1
        if refused < sum(counts) + len(LIES):
            shutil.rmtree(placed)
    onlooker.going = False
    await looking
    started = time.monotonic()
    while (status := service.get("/models/tiny").json())["reason"] is None:  # by a worker yet to look
        assert time.monotonic() - started < LIMIT_S + POLL_S
    assert (status["version"], status["state"]) == (1, "serving")
    assert status["reason"].startswith(f"version {refused + 1}: ")
    assert onlooker.tally.ok == onlooker.tally.sent > 0
    measured(
        3,
        f"{workers} worker(s): {refused:,} of {refused:,} refused, the slowest after {slowest_s:.2f} s; "
        f"{onlooker.tally.ok:,} of {onlooker.tally.sent:,} requests answered by the old version meanwhile",
    )
