"""How long a run is expected to take, learned from those before it."""

import numpy as np
import pytest

from service.inference.latency_model import LatencyModel


def test_it_starts_from_the_line_through_two_measured_runs():
    latency_model = LatencyModel(1e-3, 16, 4e-3)
    assert latency_model.seconds(1) == pytest.approx(1e-3)
    assert latency_model.seconds(16) == pytest.approx(4e-3)
    assert latency_model.seconds(31) == pytest.approx(7e-3)


def test_a_run_has_room_for_as_many_rows_as_its_time_allows():
    latency_model = LatencyModel(1e-3, 11, 2e-3)
    assert latency_model.rows(2e-3) == 11
    assert latency_model.rows(1.99e-3) == 10
    assert latency_model.rows(0.5e-3) < 1


def test_where_rows_cost_nothing_a_run_has_room_for_any():
    for latency_model in (LatencyModel(1e-3, 1, 1e-3), LatencyModel(1e-3, 32, 1e-3)):
        assert latency_model.seconds(1000) == pytest.approx(1e-3)
        assert latency_model.rows(2e-3) > 1000


def test_no_run_is_expected_to_take_less_than_nothing():
    assert LatencyModel(1e-3, 32, 32e-3).seconds(0.0) == 0
    assert LatencyModel(1e-3, 32, 0.5e-3).seconds(1000) == 0


def test_it_finds_the_line_through_its_runs():
    latency_model = LatencyModel(1e-3, 32, 1e-3)
    rng = np.random.default_rng(0)
    for rows in rng.integers(1, 33, 2000):
        latency_model.add(int(rows), 2e-3 + 1e-4 * int(rows))
    assert latency_model.seconds(1) == pytest.approx(2.1e-3, rel=0.02)
    assert latency_model.seconds(32) == pytest.approx(5.2e-3, rel=0.02)


def test_it_stays_sensible_when_all_runs_have_one_size():
    latency_model = LatencyModel(1e-4, 32, 1e-3)
    for _ in range(20_000):
        latency_model.add(1, 1e-4)
    assert latency_model.seconds(1) == pytest.approx(1e-4, rel=0.02)
    assert latency_model.seconds(32) == pytest.approx(1e-3, rel=0.2)


def test_one_stall_does_not_send_short_runs_to_the_thread():
    latency_model = LatencyModel(6e-5, 32, 5e-4)
    latency_model.add(1, 2.0)
    assert latency_model.seconds(1) < 1e-3
