"""What so many requests per second need: measured costs, a queue on paper, and how far off paper is.

The worker has one core and the load generator another, so that neither takes the other's time.
"""

from __future__ import annotations

import math
import os
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from benchmarks.serving import bodies, load
from benchmarks.serving.peers.configurations import ours
from benchmarks.serving.queueing import Seen, Worker, fit, simulate
from benchmarks.serving.server import CannotRun, Server
from training.studies.findings import Findings, Table

LOADS = (16, 256, 64)
"""Connections that measure a round, each sending as fast as it is answered: the worker is always busy."""
REPEATS = 2
PACED = 8
"""Times as long, so that the first requests, which all come at once, are too few to count."""
CALLERS = 256
OVERLOAD, USUAL = 1.5, 0.7
"""Rates to compare with, as shares of what one worker can answer."""
P99_MS = 10.0
"""What a worker is loaded up to."""
SHARES = tuple(share / 100 for share in range(95, 10, -5))
RATES = (10, 1_000, 100_000)
CORES_OF_A_MACHINE = 2
SPARE = 1
"""Machines that may fail."""


class Cost(NamedTuple):
    """What one worker takes."""

    worker: Worker
    per_second: float
    """Requests over 64 connections."""
    bytes_each: float
    """Of a request and its answer on the network, headers of TCP included."""
    pss_mib: float


class Taken(NamedTuple):
    """What a load took of the worker."""

    rows: float
    """Of a round, on average."""
    seconds: float
    """For a round."""
    per_second: float
    bytes_each: float


class Compared(NamedTuple):
    """What was seen at a rate, and what paper says of it from what the worker took just before."""

    measured: load.Load
    paper: Seen


def findings(seconds: float) -> Findings:
    """Measure a worker, compare the queue on paper with it, and reckon."""
    if len(os.sched_getaffinity(0)) < 2:
        raise CannotRun("two cores are needed: one for the worker, one for the load")
    costs, compared, needed = [], [], []
    for route, port in (("encode", 8206), ("generate", 8207)):
        with apart(port) as server:
            cost, seen = measure(server, route, seconds)
        costs.append(_cost_row(route, cost))
        compared.append(_compared_table(route, seen))
        needed.append(_needs_table(route, cost))
    one_worker = Table(
        title="One worker",
        note="A million images, each asked for alone over 64 connections, take so many hours of a core. A "
        "round of n requests takes a + b n microseconds.",
        columns=(
            "route",
            "a",
            "b",
            "requests/s",
            "core hours per million",
            "KiB on the network, each",
            "PSS MiB",
        ),
        rows=tuple(costs),
    )
    return Findings(
        title="Capacity on paper",
        question="What do ten, a thousand and a hundred thousand requests per second need?",
        parts=(one_worker, *compared, *needed),
    )


@contextmanager
def apart(port: int) -> Iterator[Server]:
    """Start one worker on a core of its own; whatever else is started meanwhile has the others."""
    *others, own = sorted(os.sched_getaffinity(0))  # the first often has the machine's interrupts too
    os.sched_setaffinity(0, {own})
    try:
        with Server(ours(1, port)) as server:
            os.sched_setaffinity(0, set(others))
            yield server
    finally:
        os.sched_setaffinity(0, {*others, own})


def measure(server: Server, route: str, seconds: float) -> tuple[Cost, dict[float, list[Compared]]]:
    """Return what one worker takes, from loads of several sizes, and what paced loads see, all in turns."""
    asked = bodies.write("latent", route)
    taken: list[Taken] = []
    compared: dict[float, list[Compared]] = {USUAL: [], OVERLOAD: []}
    for _ in range(REPEATS):
        taken += [_without_pause(server, route, asked, connections, seconds) for connections in LOADS]
        worker, can = _worker(taken[-len(LOADS) :]), taken[-1].per_second
        for share, found in compared.items():
            rate, lasting_s = share * can, PACED * seconds
            seen = load.paced(server.url, f"/{route}", asked, rate, CALLERS, lasting_s)
            found.append(Compared(seen, simulate(worker, rate, CALLERS, lasting_s)))
    full = taken[len(LOADS) - 1 :: len(LOADS)]
    per_second, bytes_each = (
        median(getattr(one, name) for one in full) for name in ("per_second", "bytes_each")
    )
    return Cost(_worker(taken), per_second, bytes_each, server.pss_mib()), compared


def _worker(taken: list[Taken]) -> Worker:
    return fit([(one.rows, one.seconds) for one in taken])


def _without_pause(server: Server, route: str, asked: Path, connections: int, seconds: float) -> Taken:
    """Return what a load of so many connections took, each sending as fast as it is answered."""
    load.closed_loop(server.url, f"/{route}", asked, connections, 1)
    (runs, rows), sent = _runs(server), _sent_bytes()
    found = load.closed_loop(server.url, f"/{route}", asked, connections, seconds)
    sent, (runs_after, rows_after) = _sent_bytes() - sent, _runs(server)
    rows_each = (rows_after - rows) / (runs_after - runs)
    return Taken(rows_each, rows_each / found.per_second, found.per_second, sent / (rows_after - rows))


def _sent_bytes() -> int:
    """Return what was sent over the loopback so far, by whomever."""
    sent: int = psutil.net_io_counters(pernic=True)["lo"].bytes_sent
    return sent


def _runs(server: Server) -> tuple[float, float]:
    """Return how many runs there were of all graphs, and of how many rows."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:  # noqa: S310 - our own
        text = answer.read().decode()

    def total(name: str) -> float:
        return sum(float(value) for value in re.findall(rf"^{name}{{.*}} (.+)$", text, flags=re.MULTILINE))

    return total("latent_batch_rows_count"), total("latent_batch_rows_sum")


def _cost_row(route: str, cost: Cost) -> tuple[str | int | float, ...]:
    hours = 1e6 / cost.per_second / 3600
    a, b = (round(1e6 * seconds) for seconds in (cost.worker.round_s, cost.worker.request_s))
    return (
        route,
        a,
        b,
        round(cost.per_second),
        round(hours, 3),
        round(cost.bytes_each / 1024, 2),
        round(cost.pss_mib),
    )


def _compared_table(route: str, compared: dict[float, list[Compared]]) -> Table:
    rows = []
    for share, found in compared.items():
        cells = []
        for name in Seen._fields:
            pairs = [(getattr(one.measured, name), getattr(one.paper, name)) for one in found]
            ratio = median(paper / measured for measured, paper in pairs)
            cells.append(
                " and ".join(f"{median(side):,.4g}" for side in zip(*pairs, strict=True)) + f" ({ratio:.2f})"
            )
        rows.append((f"{share:.0%}", *cells))
    return Table(
        title=f"/{route}: measured and on paper",
        note=f"One worker, {CALLERS} connections that ask at random times; medians of {REPEATS} runs. "
        f"Paper knows what rounds took just before, with {', '.join(map(str, sorted(LOADS)))} connections "
        "without a pause.",
        columns=("asked for, of what it can answer", "answers/s", "p50 ms", "p99 ms"),
        rows=tuple(rows),
    )


def _needs_table(route: str, cost: Cost) -> Table:
    share = next(
        (
            share
            for share in SHARES
            if simulate(cost.worker, share * cost.per_second, CALLERS, 20).p99_ms <= P99_MS
        ),
        SHARES[-1],
    )
    each = share * cost.per_second
    rows = []
    for rate in RATES:
        workers = math.ceil(rate / each)
        machines = math.ceil(workers / CORES_OF_A_MACHINE) + SPARE
        rows.append(
            (
                f"{rate:,}",
                workers,
                machines,
                f"{rate / (workers * cost.per_second):.0%}",
                round(machines * CORES_OF_A_MACHINE * cost.pss_mib / 1024, 2),
                round(rate * cost.bytes_each * 8 / 1e9, 4),
                round(rate * cost.bytes_each * 8 / 1e6 / (machines - SPARE), 1),
            )
        )
    return Table(
        title=f"/{route}: what is needed",
        note=f"A worker is given {each:,.0f} requests per second, {share:.0%} of what it can answer: on "
        f"paper the largest share at which 99% wait {P99_MS:g} ms at most. Machines have "
        f"{CORES_OF_A_MACHINE} cores and a worker on each; {SPARE} more is there for one that fails.",
        columns=(
            "requests/s",
            "workers",
            "machines",
            "busy",
            "memory GiB, all",
            "network Gbit/s, all",
            "network Mbit/s, each",
        ),
        rows=tuple(rows),
    )
