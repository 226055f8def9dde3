"""Runs that never return, event loops that hang, workers that die: noticed, ended, replaced."""

import os
import random
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import pytest

from support.problem_json import check_problem
from support.service_process import ServiceProcess, StartService, is_alive, wait_until
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured

GOOD = {"latents": [[0.0, 0.0, 0.0, 0.0]]}
ENDLESS = {"latents": [[1e6, 0.0, 0.0, 0.0]]}
LIMITS = {"stuck_run_s": 1, "stuck_worker_s": 3}
IN_A_THREAD_MS = 20
SERVING_AGAIN_S = 15
CALLERS = 8

both = pytest.mark.parametrize("workers", [1, 2])


def write_endless(tmp_path: Path, **options: Any) -> None:
    write_tiny(tmp_path / "checkpoints", operations=("decode",), default_for=("decode",), **options)
    write_tiny(tmp_path / "checkpoints", "other", operations=("generate",), default_for=("generate",))


def post(service: ServiceProcess, body: object, **headers: str) -> httpx.Response | None:
    """Return the answer, None if the connection is lost."""
    with service.client() as client:
        try:
            return client.post("/decode", json=body, headers=headers)
        except httpx.TransportError:
            return None


def serves(service: ServiceProcess) -> bool:
    """Say whether each of a few connections of their own gets its answer."""
    answers = [post(service, GOOD) for _ in range(8)]
    return all(answer is not None and answer.status_code == 200 for answer in answers)


@pytest.mark.parametrize(("workers", "slow_ms"), [(1, 0), (2, IN_A_THREAD_MS)])
def test_an_endless_loop_is_left_and_answered_with_504(
    tmp_path: Path, start_service: StartService, workers: int, slow_ms: float
):
    write_endless(tmp_path, endless="loop", slow_ms=slow_ms)
    service = start_service(workers=workers, **LIMITS)
    started_s = time.monotonic()
    answer = post(service, ENDLESS)
    assert answer is not None
    check_problem(answer, 504, "deadline-exceeded")
    assert 1 <= time.monotonic() - started_s < 4
    assert serves(service)
    assert len(service.workers()) == workers


def test_an_endless_run_is_504_at_its_callers_deadline(tmp_path: Path, start_service: StartService):
    write_endless(tmp_path, endless="loop", slow_ms=IN_A_THREAD_MS)
    service = start_service(stuck_run_s=2)
    started_s = time.monotonic()
    answer = post(service, ENDLESS, **{"x-request-timeout-s": "0.5"})
    assert answer is not None
    check_problem(answer, 504, "deadline-exceeded")
    assert 0.5 <= time.monotonic() - started_s < 1.5
    assert service.get("/health/live").status_code == 200


@both
def test_a_node_that_never_returns_costs_one_worker_and_nobody_else_an_answer(
    tmp_path: Path, start_service: StartService, workers: int, measured: Measured
):
    write_endless(tmp_path, endless="node", slow_ms=IN_A_THREAD_MS)
    service = start_service(workers=workers, drain_delay_s=30, **LIMITS)
    started_s = time.monotonic()
    with ThreadPoolExecutor(2) as callers:
        stuck = callers.submit(post, service, ENDLESS)
        readiness = {callers.submit(ready_until, service, stuck).result()} if workers == 1 else set()
        answer = stuck.result()
    assert answer is not None
    check_problem(answer, 504, "deadline-exceeded")
    assert readiness <= {frozenset({200, 503})}
    if readiness:
        measured(23, "1 worker(s), engine dead: not ready")
    wait_until(lambda: len(service.workers()) == workers + 1, "it is replaced", SERVING_AGAIN_S)
    assert serves(service)
    took_s = time.monotonic() - started_s
    assert took_s < SERVING_AGAIN_S
    measured(16, f"{workers} worker(s), an endless run: 504, all serve again after {took_s:.1f} s")
    assert "a run does not end" in service.log()
    assert "no sign of life" not in service.log()


def ready_until(service: ServiceProcess, stuck: "Future[httpx.Response | None]") -> frozenset[int]:
    """Return what a worker says of its readiness while it holds a stuck request, and works for others."""
    seen = set()
    with service.client() as client:
        while not stuck.done():
            try:
                seen.add(client.get("/health/ready").status_code)
                assert client.post("/generate", json={}).status_code == 200
            except httpx.ConnectError:  # it listens no more
                break
    return frozenset(seen)


@both
def test_an_event_loop_that_hangs_costs_one_worker(
    tmp_path: Path, start_service: StartService, workers: int, measured: Measured
):
    write_endless(tmp_path, endless="node")
    service = start_service(workers=workers, **LIMITS)
    started_s = time.monotonic()
    assert post(service, ENDLESS) is None
    wait_until(lambda: len(service.workers()) == workers + 1, "it is replaced", SERVING_AGAIN_S)
    assert serves(service)
    took_s = time.monotonic() - started_s
    assert took_s < SERVING_AGAIN_S
    measured(16, f"{workers} worker(s), a loop that hangs: all serve again after {took_s:.1f} s")
    assert "shows no sign of life; it is killed" in service.log()


@both
def test_a_worker_that_is_halted_is_replaced(tmp_path: Path, start_service: StartService, workers: int):
    write_endless(tmp_path)
    service = start_service(workers=workers, **LIMITS)
    halted_s = time.monotonic()
    os.kill(service.workers()[0], signal.SIGSTOP)
    wait_until(lambda: len(service.workers()) == workers + 1, "it is replaced", SERVING_AGAIN_S)
    assert serves(service)
    assert time.monotonic() - halted_s < SERVING_AGAIN_S


def sleeps(pid: int) -> int:
    """Return how often a process has gone to sleep."""
    return int(Path(f"/proc/{pid}/status").read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_a_service_that_was_halted_as_a_whole_goes_on(tmp_path: Path, start_service: StartService):
    write_endless(tmp_path)
    service = start_service(**LIMITS)
    supervisor, (worker,) = service.process.pid, service.workers()
    looked = sleeps(supervisor) + 4
    wait_until(lambda: sleeps(supervisor) > looked, "the supervisor has looked a few times")
    for pid in (supervisor, worker):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(4)  # longer than a worker may be silent
    looked = sleeps(supervisor)
    os.kill(supervisor, signal.SIGCONT)
    wait_until(lambda: sleeps(supervisor) > looked, "the supervisor goes on first")
    os.kill(worker, signal.SIGCONT)
    assert serves(service)
    assert "no sign of life" not in service.log()


@both
def test_a_single_killed_worker_is_replaced_and_callers_wait_for_the_next(
    tmp_path: Path, start_service: StartService, workers: int
):
    write_endless(tmp_path)
    service = start_service(workers=workers)
    os.kill(service.workers()[0], signal.SIGKILL)
    assert serves(service)
    wait_until(lambda: len(service.workers()) == workers + 1, "it is replaced", SERVING_AGAIN_S)


@pytest.mark.chaos
@both
def test_killing_workers_for_a_minute_loses_only_what_they_held(
    tmp_path: Path, start_service: StartService, workers: int, measured: Measured
):
    measured(16, kill_workers(tmp_path, start_service, workers, seconds=60))


def test_killing_a_few_workers_loses_only_what_they_held(
    tmp_path: Path, start_service: StartService, measured: Measured
):
    measured(16, kill_workers(tmp_path, start_service, workers=2, seconds=2))


def alive(service: ServiceProcess) -> list[int]:
    return [pid for pid in service.workers() if is_alive(pid)]


class Load:
    """Callers that ask all the time, on a connection of their own each time, and what became of it."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service
        self.ok = self.lost = 0
        self.wrong: list[str] = []
        self._going = True

    def __enter__(self) -> "Load":
        self._pool = ThreadPoolExecutor(CALLERS)
        for _ in range(CALLERS):
            self._pool.submit(self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._going = False
        self._pool.shutdown()

    def wait_for_answers(self, count: int) -> None:
        """Wait until some more have been answered."""
        enough = self.ok + count
        wait_until(lambda: self.ok >= enough, "it serves", SERVING_AGAIN_S)

    def _ask(self) -> None:
        while self._going:
            answer = post(self.service, GOOD)
            if answer is None:
                self.lost += 1
            elif answer.status_code == 200:
                self.ok += 1
            else:
                self.wrong.append(answer.text)


def kill_workers(tmp_path: Path, start_service: StartService, workers: int, seconds: float) -> str:
    """Kill workers at random under load, and return what it came to."""
    write_endless(tmp_path, slow_ms=5)
    service = start_service(workers=workers)
    order, kills = random.Random(0), 0
    with Load(service) as load:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            load.wait_for_answers(order.randint(1, 40))
            wait_until(lambda: alive(service), "a worker lives", SERVING_AGAIN_S)
            os.kill(order.choice(alive(service)), signal.SIGKILL)
            kills += 1
    assert kills
    assert load.wrong == []
    assert load.lost <= kills * CALLERS
    assert load.ok > kills
    assert serves(service)
    return f"{workers} worker(s), {kills} killed: {load.ok:,} answered, {load.lost} of those they held lost"
