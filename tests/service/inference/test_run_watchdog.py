"""Overseer: what is cut off when, and what is lost."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from service.checkpoint.manifest import Graph
from service.inference.engine import Engine
from service.inference.run_watchdog import RunWatchdog
from support.service_process import wait_until
from support.tiny_checkpoints import describe_tiny

STUCK_S = 0.5


@pytest.fixture
def watchdog() -> Iterator[RunWatchdog]:
    made = RunWatchdog(STUCK_S)
    made.start()
    yield made
    made.stop()


def engine_of(**options: object) -> Engine:
    manifest, files = describe_tiny(operations=("decode",), **options)  # type: ignore[arg-type]
    return Engine(files["decode.onnx"], Graph.model_validate(manifest["operations"]["decode"]))


def latents(first: float) -> dict[str, np.ndarray]:
    return {"latents": np.array([[first, 0, 0, 0]], np.float32)}


def test_a_short_run_is_left_alone(watchdog: RunWatchdog):
    watched = watchdog.watch(0)
    with watched as options:
        engine_of().run(latents(0), options)
    time.sleep(2 * STUCK_S)
    assert not watched.is_cut
    assert not watchdog.is_stuck


def test_a_run_that_takes_too_long_is_cut_off(watchdog: RunWatchdog):
    watched, started_s = watchdog.watch(0), time.monotonic()
    with pytest.raises(Exception, match="terminate flag"), watched as options:
        engine_of(endless="loop").run(latents(1e6), options)
    assert watched.is_cut
    assert STUCK_S <= time.monotonic() - started_s < STUCK_S + 1
    assert not watchdog.is_stuck


def test_a_run_may_take_ten_times_what_runs_like_it_take(watchdog: RunWatchdog):
    watched = watchdog.watch(STUCK_S)
    with watched:
        time.sleep(3 * STUCK_S)
    assert not watched.is_cut


def test_its_time_begins_with_the_run_and_not_in_the_queue(watchdog: RunWatchdog):
    watched = watchdog.watch(0)
    time.sleep(2 * STUCK_S)
    with watched:
        time.sleep(STUCK_S * 0.7)
    assert not watched.is_cut


def test_a_run_that_goes_on_all_the_same_is_reported(watchdog: RunWatchdog):
    released = threading.Event()

    def go_on() -> None:
        with watchdog.watch(0):
            released.wait(20)

    thread = threading.Thread(target=go_on)
    thread.start()
    wait_until(lambda: watchdog.is_stuck, "it is reported", 5)
    released.set()
    thread.join()
    assert not watchdog.is_stuck
