"""An answer depends on its request and checkpoint alone: not on neighbours, batches, reloads or workers."""

import asyncio
import io
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.load_clients import Answer, Connection, Tally
from support.service_process import ServiceProcess, StartService, wait_until
from support.single_worker import PATIENT, only
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured, forms

CONNECTIONS = 200
NPY = {"accept": "application/x-npy"}


@pytest.fixture(params=[1, 2], ids=["1 worker", "2 workers"])
def service(request: pytest.FixtureRequest, tmp_path: Path, start_service: StartService) -> ServiceProcess:
    write_tiny(
        tmp_path / "checkpoints",
        classes=("x", "y", "z"),
        logvar=True,
        default_for=("encode", "decode", "generate"),
    )
    return start_service(workers=request.param)


def questions(count: int) -> list[tuple[str, dict[str, Any]]]:
    """Different requests, of all operations and of 1 to 4 rows."""
    dice = np.random.default_rng(0)
    kinds: list[tuple[str, dict[str, Any]]] = []
    for i in range(count):
        rows = 1 + i % 4
        if i % 3:
            kinds.append(("/generate", {"seed": i, "count": rows, "label": i % 2, "return_latents": True}))
        else:
            kinds.append(("/decode", {"latents": dice.normal(size=(rows, 4)).tolist()}))
    return kinds


def told(answer: Answer) -> dict[str, Any]:
    """Return what an answer says, without its id."""
    return answer.json() | {"request_id": ""}


async def alone(service: ServiceProcess, asked: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    connection = await Connection.open(service.url)
    answers = [told(await connection.ask(path, body)) for path, body in asked]
    await connection.close()
    return answers


class Crowd:
    """Many connections that ask at once, each one question after another."""

    def __init__(self, service: ServiceProcess, asked: list[tuple[str, dict[str, Any]]]) -> None:
        self.service, self.asked = service, asked
        self.tally = Tally()
        self.answers: list[dict[str, Any] | None] = [None] * len(asked)

    async def run(self) -> None:
        await asyncio.gather(*(self._ask_some(first) for first in range(CONNECTIONS)))
        self.tally.check()

    async def _ask_some(self, first: int) -> None:
        connection = await Connection.open(self.service.url)
        for number in range(first, len(self.asked), CONNECTIONS):
            self.tally.sent += 1
            answer = await connection.ask(*self.asked[number])
            self.tally.add(answer)
            self.answers[number] = told(answer)
        await connection.close()


@forms("requests", short=600, full=10_000)
async def test_concurrent_answers_are_the_solo_answers(
    service: ServiceProcess, requests: int, measured: Measured
):
    asked = questions(requests)
    expected = await alone(service, asked)
    order = list(range(requests))
    random.Random(0).shuffle(order)
    crowd = Crowd(service, [asked[number] for number in order])
    await crowd.run()
    mixed_up = sum(answer != expected[number] for number, answer in zip(order, crowd.answers, strict=True))
    measured(4, f"{len(service.workers())} worker(s): {mixed_up} of {crowd.tally.sent:,} mixed up")
    assert crowd.tally.ok == requests
    assert mixed_up == 0


@pytest.mark.parametrize("workers", [1, 2])
@forms("rounds", short=5, full=100)
async def test_a_poisoned_row_fails_alone(
    tmp_path: Path, start_service: StartService, workers: int, rounds: int, measured: Measured
):
    write_tiny(tmp_path / "checkpoints", operations=("decode",), default_for=("decode",), slow_ms=6)
    service = start_service(workers=workers)
    latents = np.random.default_rng(0).normal(size=(32, 4)).tolist()
    bodies = [{"latents": [latent]} for latent in latents]
    expected = await alone(service, [("/decode", body) for body in bodies])
    tally = Tally()
    connections = [await Connection.open(service.url) for _ in bodies]
    for poisoned in (number % len(bodies) for number in range(rounds)):
        asked = [*bodies[:poisoned], {"latents": [[1e20] * 4]}, *bodies[poisoned + 1 :]]
        tally.sent += len(asked)
        answers = await asyncio.gather(
            *(connection.ask("/decode", body) for connection, body in zip(connections, asked, strict=True))
        )
        for number, answer in enumerate(answers):
            tally.add(answer)
            if number == poisoned:
                assert (answer.status, answer.json()["code"]) == (500, "inference-failed")
            else:
                assert told(answer) == expected[number]
    for connection in connections:
        await connection.close()
    tally.check()
    measured(10, f"{workers} worker(s), {rounds} rounds: {tally.ok} answers, {len(tally.failed)} errors")
    assert (tally.ok, len(tally.failed)) == (31 * rounds, rounds)
    runs = service.get("/metrics").text
    (batches,) = (line for line in runs.splitlines() if line.startswith("latent_batch_rows_count{"))
    assert float(batches.split()[-1]) < 32 * (1 + rounds) / 2, "the rows did not share runs"


SEED = 7


@forms("sizes", short=(1, 2, 7, 32), full=range(1, 33))
def test_a_seed_gives_the_same_bytes_whatever_surrounds_it(
    tmp_path: Path, start_service: StartService, sizes: range | tuple[int, ...], measured: Measured
):
    folder = write_tiny(tmp_path / "checkpoints", classes=("x", "y"), default_for=("generate",))
    alone: list[bytes] = []
    compared = 0

    def draw(service: ServiceProcess, seed: int, count: int) -> list[bytes]:
        with service.client() as client:
            body = {"seed": seed, "count": count, "label": "y"}
            answer = client.post("/generate", json=body, headers=NPY)
        assert answer.status_code == 200
        rows = np.load(io.BytesIO(answer.content))
        return [row.tobytes() for row in rows]

    def compare(service: ServiceProcess) -> None:
        nonlocal compared
        for size in sizes:
            assert draw(service, SEED, size) == alone[:size]
            assert draw(service, SEED + 32 - size, size) == alone[32 - size :]
            compared += 2 * size

    service = start_service(reload_interval_s=0.02)
    alone += [draw(service, SEED + i, 1)[0] for i in range(32)]
    assert len(set(alone)) == 32
    compare(service)
    loads = service.log().count(" serving ")
    os.utime(folder / "generate.onnx")
    wait_until(lambda: service.log().count(" serving ") > loads, "it is loaded again")
    compare(service)
    several = start_service(workers=2, **PATIENT)
    for worker in several.workers():
        with only(several, worker):
            compare(several)
    measured(24, f"{compared:,} images compared, all of the same bytes")
