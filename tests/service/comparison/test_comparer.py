"""Comparisons one at a time, with few that wait, beside the event loop."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from service.checkpoint import reference
from service.comparison.comparer import MAX_WAITING, NUMBERS, REFERENCE_ROWS, Comparer, compare, sample
from service.errors import QueueFull
from support.tiny_checkpoints import reference_arrays

RANDOM = np.random.default_rng(0)


def rows(count: int, mean: float = 0.0) -> np.ndarray:
    return RANDOM.normal(mean, size=(count, 3)).astype(np.float32)


@pytest.fixture
async def comparer() -> AsyncIterator[Comparer]:
    made = Comparer()
    yield made
    made.stop()


def test_a_comparison_has_every_number_and_tells_samples_apart():
    same, other = compare(rows(40), rows(50)), compare(rows(40), rows(50, mean=2.0))
    assert same.keys() == other.keys() == set(NUMBERS)
    for name in ("mmd", "kl", "js", "wasserstein"):
        assert other[name] > same[name]
        assert other[f"{name}_p"] == pytest.approx(1 / 1001)
    assert other["mmd_power"] > 0.99


async def test_the_event_loop_turns_while_one_is_computed(comparer: Comparer):
    running = asyncio.create_task(comparer.run(rows(200), rows(200)))
    turns = 0
    while not running.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 5
    assert set(await running) == set(NUMBERS)


async def test_as_many_wait_as_may_and_one_more_is_refused(comparer: Comparer):
    running = [asyncio.create_task(comparer.run(rows(60), rows(60))) for _ in range(1 + MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as refusal:
        await comparer.run(rows(2), rows(2))
    assert refusal.value.headers["Retry-After"] == "2"
    await asyncio.gather(*running)
    assert set(await comparer.run(rows(2), rows(2))) == set(NUMBERS)


async def test_those_whose_callers_have_gone_wait_no_more(comparer: Comparer):
    running = [asyncio.create_task(comparer.run(rows(60), rows(60))) for _ in range(1 + MAX_WAITING)]
    await asyncio.sleep(0)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert set(await comparer.run(rows(2), rows(2))) == set(NUMBERS)


async def test_one_that_fails_is_counted_no_more(comparer: Comparer):
    for _ in range(2 + MAX_WAITING):
        with pytest.raises(ValueError, match="two rows or more"):
            await comparer.run(rows(1), rows(2))


async def test_the_thread_lets_others_go_first(comparer: Comparer):
    await comparer.run(rows(2), rows(2))
    threads = [one for one in threading.enumerate() if one.name.startswith("comparison")]
    nice = [os.getpriority(os.PRIO_PROCESS, one.native_id or 0) for one in threads]
    assert min(nice) > os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.parametrize(("count", "kept"), [(60, 60), (500, 500), (501, 500), (2000, 500)])
def test_of_a_reference_some_rows_are_compared_spread_evenly(count: int, kept: int):
    arrays = reference_arrays(3, 2) | {
        "latents": np.arange(count * 3, dtype=np.float32).reshape(count, 3),
        "labels": np.arange(count) % 2,
        "thumbnails": np.zeros((count, 2, 2), np.uint8),
    }
    chosen = sample(reference.read(arrays, ("a", "b"), 3))
    assert len(chosen) == kept <= REFERENCE_ROWS
    numbers = chosen[:, 0] / 3
    assert (numbers[0], numbers[-1]) == (0, count - 1)
    assert set(np.diff(numbers).tolist()) <= {count // kept, count // kept + 1}
