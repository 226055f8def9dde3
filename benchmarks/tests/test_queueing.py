"""The queue on paper against what is known of queues."""

import numpy as np
import pytest

from benchmarks.serving.queueing import Worker, fit, simulate, waits


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_one_at_a_time_waits_as_long_as_pollaczek_and_khinchine_say(busy: float):
    service_s = 0.001
    alone = Worker(round_s=0, request_s=service_s, most=1)
    found = waits(alone, busy / service_s, connections=5000, seconds=200)
    assert np.mean(found) == pytest.approx(service_s * (1 + busy / 2 / (1 - busy)), rel=0.05)


def test_rounds_of_all_that_wait_keep_up_with_more_than_one_at_a_time():
    alone, together = Worker(0.001, 0.0001, most=1), Worker(0.001, 0.0001)
    rate = 2 * alone.per_second(1)
    assert simulate(alone, rate, 256, 20).per_second == pytest.approx(alone.per_second(1), rel=0.01)
    assert simulate(together, rate, 256, 20).per_second == pytest.approx(rate, rel=0.05)


def test_too_many_callers_are_answered_as_fast_as_full_rounds_go():
    worker = Worker(0.001, 0.0001)
    seen = simulate(worker, 10 * worker.per_second(64), 256, 20)
    assert seen.per_second == pytest.approx(worker.per_second(64), rel=0.01)
    assert seen.p50_ms == pytest.approx(1000 * 256 / worker.per_second(64), rel=0.15)


def test_a_worker_is_found_from_its_rounds():
    found = fit([(n, 0.0004 + 0.0001 * n) for n in (1.0, 3.5, 64.0)])
    assert found.round_s == pytest.approx(0.0004)
    assert found.request_s == pytest.approx(0.0001)
