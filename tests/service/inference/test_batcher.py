"""Batcher: who is computed with whom, and who is not harmed by whom."""

import asyncio
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from service.checkpoint.manifest import Graph
from service.errors import DeadlineExceeded, InferenceFailed, QueueFull
from service.inference.batch import Inputs
from service.inference.batcher import Batcher
from service.inference.engine import Engine
from service.inference.latency_model import LatencyModel
from service.inference.run_watchdog import RunWatchdog
from service.inference.thread_pools import ThreadPools
from service.observability.metrics import GraphMetrics
from support.tiny_checkpoints import Arrays, describe_tiny


class RecordingEngine(Engine):
    """A real engine that remembers the rows of each run, and the thread it ran in."""

    def __init__(self, graph: bytes, spec: Graph) -> None:
        super().__init__(graph, spec)
        self.runs: list[int] = []
        self.threads: set[int] = set()

    def run(self, inputs: Mapping[str, NDArray[Any]], options: Any = None) -> Arrays:
        self.runs.append(len(next(iter(inputs.values()))))
        self.threads.add(threading.get_ident())
        return super().run(inputs, options)


@pytest.fixture
def threads() -> Iterator[ThreadPools]:
    pools = ThreadPools()
    yield pools
    pools.shutdown()


class Bench:
    """A batcher before a tiny graph."""

    def __init__(
        self,
        threads: ThreadPools,
        key: str = "decode",
        queue_rows: int = 10_000,
        row_values: int | None = None,
        **options: Any,
    ) -> None:
        manifest, files = describe_tiny(**options)
        operations = manifest["operations"]
        spec = operations["translate"]["b"] if key == "translate.b" else operations[key]
        self.spec = Graph.model_validate({name: spec[name] for name in Graph.model_fields})
        self.engine = RecordingEngine(files[f"{key}.onnx"], self.spec)
        slow_s = options.get("slow_ms", 0) / 1e3
        self.batcher = Batcher(
            self.engine,
            batch_rows=self.spec.preferred_batch,
            queue_rows=queue_rows,
            latency_model=LatencyModel(slow_s, 32, slow_s) if slow_s else LatencyModel(1e-5, 32, 1e-4),
            threads=threads,
            watchdog=RunWatchdog(60),
            metrics=GraphMetrics("bench", key),
            row_values=row_values,
        )

    def run(self, inputs: Inputs, deadline_s: float = math.inf) -> "asyncio.Task[Arrays]":
        return asyncio.create_task(self.batcher.run(inputs, deadline_s))

    def alone(self, inputs: Arrays) -> Arrays:
        return Engine.run(self.engine, inputs)


def latents(rows: int, seed: int = 0) -> Arrays:
    return {"latents": np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)}


async def until(condition: Any, limit_s: float = 5) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def test_rows_are_bit_equal_alone_and_among_others(threads: ThreadPools):
    bench = Bench(threads, key="encode")
    rng = np.random.default_rng(1)
    requests = [{"images": rng.random((rows, 1, 8, 8), np.float32)} for rows in rng.integers(1, 33, 150)]
    answers = await asyncio.gather(*(bench.run(request) for request in requests))
    assert max(bench.engine.runs) == 32
    assert len(bench.engine.runs) < sum(len(request["images"]) for request in requests) / 30
    for request, answer in zip(requests, answers, strict=True):
        rows = [bench.alone({"images": row[None]})["latents"] for row in request["images"]]
        assert np.array_equal(answer["latents"], np.concatenate(rows))


class CountedRows:
    """Rows that are deferred: latents of its numbers, which notes with whom they were made."""

    made: ClassVar[list[list[int]]] = []

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: slice) -> "CountedRows":
        return CountedRows(self.numbers[rows])

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), 4

    @classmethod
    def materialize(cls, parts: Sequence["CountedRows"]) -> NDArray[np.float32]:
        numbers = [number for part in parts for number in part.numbers]
        cls.made.append(numbers)
        return np.repeat(np.array(numbers, np.float32)[:, None], 4, axis=1) / 100


async def test_deferred_rows_are_made_by_the_run_that_takes_them(threads: ThreadPools):
    bench = Bench(threads)
    CountedRows.made.clear()
    requests = [CountedRows(range(first, first + 20)) for first in (0, 20)]
    answers = await asyncio.gather(*(bench.run({"latents": rows}) for rows in requests))
    assert CountedRows.made == [list(range(32)), list(range(32, 40))]
    for rows, answer in zip(requests, answers, strict=True):
        alone = bench.alone({"latents": CountedRows.materialize([rows])})
        assert np.array_equal(answer["images"], alone["images"])


async def test_two_thousand_concurrent_answers_are_not_mixed_up(threads: ThreadPools):
    bench = Bench(threads)
    requests = [latents(1 + seed % 3, seed) for seed in range(2000)]
    answers = await asyncio.gather(*(bench.run(request) for request in requests))
    for request, answer in zip(requests, answers, strict=True):
        assert np.array_equal(answer["images"], bench.alone(request)["images"])


async def test_requests_of_one_tick_form_one_batch(threads: ThreadPools):
    bench = Bench(threads)
    await asyncio.gather(*(bench.run(latents(1)) for _ in range(20)))
    assert bench.engine.runs == [20]


async def test_lone_request_runs_at_once_in_place(threads: ThreadPools):
    bench = Bench(threads)
    await bench.run(latents(1))
    assert bench.engine.runs == [1]
    assert bench.engine.threads == {threading.get_ident()}


async def test_long_run_leaves_the_event_loop_free(threads: ThreadPools):
    bench = Bench(threads, slow_ms=100)
    running = bench.run(latents(1))
    ticks = 0
    while not running.done():
        await asyncio.sleep(0.001)
        ticks += 1
    assert ticks > 10
    assert threading.get_ident() not in bench.engine.threads


async def test_batch_too_long_for_the_event_loop_is_cut_where_that_costs_little(threads: ThreadPools):
    bench = Bench(threads)
    bench.batcher._latency_model = LatencyModel(
        5e-4, 32, 16e-3
    )  # half a millisecond per row, and none per run
    await asyncio.gather(*(bench.run(latents(1)) for _ in range(20)))
    assert bench.engine.runs[0] == 10
    assert bench.engine.threads == {threading.get_ident()}


async def test_batch_goes_to_the_thread_whole_where_cutting_it_costs_much(threads: ThreadPools):
    bench = Bench(threads)
    bench.batcher._latency_model = LatencyModel(4.5e-3, 32, 6e-3)
    await asyncio.gather(*(bench.run(latents(1)) for _ in range(20)))
    assert bench.engine.runs == [20]
    assert threading.get_ident() not in bench.engine.threads


async def test_image_larger_than_the_one_that_was_timed_goes_to_the_thread(threads: ThreadPools):
    """64 pixels took 1 ms, so 64 times as many are expected to take 64 ms."""
    bench = Bench(threads, key="encode", row_values=64, size=None, operations=("encode",))
    bench.batcher._latency_model = LatencyModel(1e-3, 1, 1e-3)
    await bench.run({"images": np.zeros((1, 1, 8, 8), np.float32)})
    assert bench.engine.threads == {threading.get_ident()}
    bench.batcher._latency_model = LatencyModel(1e-3, 32, 32e-3)
    await bench.run({"images": np.zeros((1, 1, 64, 64), np.float32)})
    assert len(bench.engine.threads) == 2


async def test_run_that_turns_out_long_moves_to_the_thread(threads: ThreadPools):
    bench = Bench(threads, slow_ms=8)
    bench.batcher._latency_model = LatencyModel(1e-5, 32, 1e-5)
    await bench.run(latents(1))
    assert bench.engine.threads == {threading.get_ident()}
    for _ in range(100):
        await bench.run(latents(1))
    assert len(bench.engine.threads) == 2


async def test_large_request_comes_back_whole_and_in_order(threads: ThreadPools):
    bench = Bench(threads)
    request = latents(1000)
    answer = await bench.run(request)
    assert max(bench.engine.runs) == 32
    expected = [bench.alone({"latents": row[None]})["images"] for row in request["latents"]]
    assert np.array_equal(answer["images"], np.concatenate(expected))


async def test_large_request_runs_on_all_cores(threads: ThreadPools):
    bench = Bench(threads, slow_ms=20)
    await bench.run(latents(320))
    assert len(bench.engine.threads) == threads.pieces
    assert threading.get_ident() not in bench.engine.threads


@pytest.mark.parametrize("large", [1, 8])
async def test_single_row_does_not_wait_for_large_requests(threads: ThreadPools, large: int):
    bench = Bench(threads, slow_ms=5)
    rows = 960 if large == 1 else 480
    running = [bench.run(latents(rows)) for _ in range(large)]
    await until(lambda: bench.engine.runs)
    for seed in range(5):
        before = len(bench.engine.runs)
        await bench.run(latents(1, seed))
        assert len(bench.engine.runs) - before <= 1 + 3 * threads.pieces  # its own, and what runs beside it
    assert not any(request.done() for request in running)
    for answer in await asyncio.gather(*running):
        assert len(answer["images"]) == rows


async def test_two_large_requests_share_the_engine(threads: ThreadPools):
    bench = Bench(threads, slow_ms=2)
    done: list[int] = []
    sizes = (3200, 64)
    tasks = [bench.run(latents(rows)) for rows in sizes]
    for rows, task in zip(sizes, tasks, strict=True):
        task.add_done_callback(lambda _, rows=rows: done.append(rows))
    await asyncio.gather(*tasks)
    assert done == [64, 3200]


async def test_request_beyond_the_capacity_is_refused_at_once(threads: ThreadPools):
    bench = Bench(threads, slow_ms=50, queue_rows=10)
    running = bench.run(latents(4))
    await until(lambda: bench.engine.runs)
    fits = bench.run(latents(10))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as refusal:
        await bench.batcher.run(latents(1))
    assert int(refusal.value.headers["Retry-After"]) >= 1
    assert len((await running)["images"]) == 4
    assert len((await fits)["images"]) == 10
    assert len((await bench.run(latents(10)))["images"]) == 10
    assert bench.batcher._waiting_rows == 0


async def test_request_whose_deadline_has_passed_costs_no_run(threads: ThreadPools):
    bench = Bench(threads)
    with pytest.raises(DeadlineExceeded):
        await bench.run(latents(1), time.monotonic() - 0.001)
    assert bench.engine.runs == []


async def test_deadline_that_passes_in_the_queue_costs_no_run(threads: ThreadPools):
    bench = Bench(threads, slow_ms=50)
    running = bench.run(latents(4))
    await until(lambda: bench.engine.runs)
    with pytest.raises(DeadlineExceeded):
        await bench.run(latents(7), time.monotonic() + 0.02)
    assert bench.batcher._waiting_rows == 0
    await running
    await bench.run(latents(2))
    assert bench.engine.runs == [4, 2]


async def test_cancelled_callers_harm_nobody(threads: ThreadPools):
    bench = Bench(threads, slow_ms=10)
    tasks = [bench.run(latents(3, seed)) for seed in range(60)]
    await until(lambda: bench.engine.runs)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    for seed in range(1, 60, 2):
        assert np.array_equal(answers[seed]["images"], bench.alone(latents(3, seed))["images"])
    assert bench.batcher._waiting_rows == 0
    assert sum(bench.engine.runs) < 60 * 3


async def test_request_cancelled_in_the_tick_it_came_costs_no_run(threads: ThreadPools):
    bench = Bench(threads)
    task = bench.run(latents(1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await bench.run(latents(2))
    assert bench.engine.runs == [2]


async def test_cancelled_requests_are_forgotten_while_a_run_goes_on(threads: ThreadPools):
    bench = Bench(threads, slow_ms=200)
    running = bench.run(latents(1))
    await until(lambda: bench.engine.runs)
    tasks = [bench.run(latents(100)) for _ in range(100)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(bench.batcher._small) == len(bench.batcher._large) == 0
    assert not running.done()
    await running


async def test_rows_are_shown_as_waiting_no_longer_than_they_wait(threads: ThreadPools):
    """A small request comes in the very turn of the loop in which a large one's last piece comes back."""
    bench = Bench(threads, slow_ms=20)
    bench.batcher._latency_model = LatencyModel(1e-5, 32, 1e-4)
    large = bench.run(latents(33))
    await until(lambda: len(bench.engine.runs) == 2)
    ready, deadline = asyncio.get_running_loop()._ready, time.monotonic() + 5  # type: ignore[attr-defined]
    while len(ready) < min(2, threads.pieces):
        assert time.monotonic() < deadline
    await asyncio.gather(large, bench.run(latents(1)))
    assert bench.batcher._waiting_rows == 0
    assert REGISTRY.get_sample_value("latent_queue_rows", {"model": "bench", "graph": "decode"}) == 0


async def test_cancelled_caller_of_a_bad_row_harms_nobody(threads: ThreadPools):
    bench = Bench(threads, slow_ms=20)
    requests = [latents(1, seed) for seed in range(8)]
    requests[3]["latents"][:] = 1e20
    tasks = [bench.run(request) for request in requests]
    await until(lambda: bench.engine.runs)
    tasks[3].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [dict] * 3 + [asyncio.CancelledError] + [dict] * 4


async def test_engine_serves_on_when_every_caller_is_cancelled(threads: ThreadPools):
    bench = Bench(threads, slow_ms=10)
    tasks = [bench.run(latents(3)) for _ in range(5)]
    await until(lambda: bench.engine.runs)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len((await bench.run(latents(2)))["images"]) == 2


async def test_row_that_is_not_finite_fails_alone(threads: ThreadPools):
    bench = Bench(threads)
    requests = [latents(1, seed) for seed in range(32)]
    requests[13]["latents"][:] = 1e20
    for _ in range(20):
        bench.engine.runs.clear()
        answers = await asyncio.gather(*(bench.run(request) for request in requests), return_exceptions=True)
        assert bench.engine.runs == [32]
        assert [type(answer) for answer in answers] == [dict] * 13 + [InferenceFailed] + [dict] * 18
        for seed in (0, 12, 14, 31):
            assert np.array_equal(answers[seed]["images"], bench.alone(requests[seed])["images"])


@pytest.mark.parametrize("slow_ms", [0, 5])
async def test_row_that_makes_the_run_fail_fails_alone(threads: ThreadPools, slow_ms: float):
    bench = Bench(threads, key="generate", classes=("x", "y"), slow_ms=slow_ms)
    requests = [latents(1, seed) | {"labels": np.array([seed % 2])} for seed in range(32)]
    requests[13]["labels"][:] = 99
    answers = await asyncio.gather(*(bench.run(request) for request in requests), return_exceptions=True)
    assert [type(answer) for answer in answers] == [dict] * 13 + [InferenceFailed] + [dict] * 18
    assert np.array_equal(answers[31]["images"], bench.alone(requests[31])["images"])


async def test_large_request_with_one_bad_row_fails_whole_and_stops(threads: ThreadPools):
    bench = Bench(threads)
    request = latents(1000)
    request["latents"][5] = 1e20
    with pytest.raises(InferenceFailed):
        await bench.run(request)
    await bench.run(latents(1))
    assert sum(bench.engine.runs) < 1000


async def test_rows_of_different_shapes_are_never_joined(threads: ThreadPools):
    bench = Bench(threads, key="translate.b", operations=(), domains=("a", "b"), size=None)
    requests = [{"images": np.full((1, 1, 4 + seed % 3, 4), 0.25, np.float32)} for seed in range(30)]
    answers = await asyncio.gather(*(bench.run(request) for request in requests))
    assert sorted(bench.engine.runs) == [10, 10, 10]
    for request, answer in zip(requests, answers, strict=True):
        assert np.array_equal(answer["translated"], 1 - request["images"])


async def test_answers_survive_a_neighbour_with_the_wrong_type(threads: ThreadPools):
    bench = Bench(threads)
    wrong = {"latents": np.zeros((1, 4))}
    answers = await asyncio.gather(bench.run(latents(1)), bench.run(wrong), return_exceptions=True)
    assert [type(answer) for answer in answers] == [dict, InferenceFailed]
