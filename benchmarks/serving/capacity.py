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
from typing import NamedTuple

import psutil

from benchmarks.serving import bodies, load
from benchmarks.serving.peers.configurations import ours
from benchmarks.serving.queueing import Seen, Worker, fit, simulate
from benchmarks.serving.server import CannotRun, Server
from training.study import Findings, Table

LOADS = (1, 4, 16, 64)
"""Connections that measure a round, each sending as fast as it is answered."""
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


def findings(seconds: float) -> Findings:
    """Measure a worker, compare the queue on paper with it, and reckon."""
    if len(os.sched_getaffinity(0)) < 2:
        raise CannotRun("two cores are needed: one for the worker, one for the load")
    parts: list[Table] = []
    reckoned = []
    for route, port in (("encode", 8206), ("generate", 8207)):
        asked = bodies.write("latent", route)
        with apart(port) as server:
            cost = measure(server, route, asked, seconds)
            rows = [compared(server, route, asked, cost, share, seconds) for share in (USUAL, OVERLOAD)]
        parts.append(_compared_table(route, cost, rows))
        reckoned.append((route, cost))
    costs = Table(
        title="One worker",
        note="A million images, each asked for alone over 64 connections, take so many hours of a core.",
        columns=(
            "route",
            "requests/s",
            "core hours per million",
            "KiB per request on the network",
            "PSS MiB",
        ),
        rows=tuple(
            (
                route,
                round(cost.per_second),
                round(1e6 / cost.per_second / 3600, 4),
                round(cost.bytes_each / 1024, 2),
                round(cost.pss_mib),
            )
            for route, cost in reckoned
        ),
    )
    needs = [_needs_table(route, cost) for route, cost in reckoned]
    return Findings(
        title="Capacity on paper",
        question="What do ten, a thousand and a hundred thousand requests per second need?",
        parts=(costs, *parts, *needs),
    )


@contextmanager
def apart(port: int) -> Iterator[Server]:
    """Start one worker on a core of its own; whatever else is started meanwhile has the others."""
    own, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {own})
    try:
        with Server(ours(1, port)) as server:
            os.sched_setaffinity(0, set(others))
            yield server
    finally:
        os.sched_setaffinity(0, {own, *others})


def measure(server: Server, route: str, asked: Path, seconds: float) -> Cost:
    """Return what one worker takes, from loads of several sizes."""
    rounds = []
    for connections in LOADS:
        load.closed_loop(server.url, f"/{route}", asked, connections, 1)
        cpu_s, (runs, rows) = server.cpu_s(), _runs(server)
        network = psutil.net_io_counters(pernic=True)["lo"].bytes_sent
        found = load.closed_loop(server.url, f"/{route}", asked, connections, seconds)
        network = psutil.net_io_counters(pernic=True)["lo"].bytes_sent - network
        runs_after, rows_after = _runs(server)
        runs, rows = runs_after - runs, rows_after - rows
        rounds.append((rows / runs, (server.cpu_s() - cpu_s) / runs))
    return Cost(fit(rounds), found.per_second, network / rows, server.pss_mib())


def compared(
    server: Server, route: str, asked: Path, cost: Cost, share: float, seconds: float
) -> tuple[str, load.Load, Seen]:
    """Return what wrk saw at a share of what the worker can answer, and what paper says."""
    rate = share * cost.per_second
    found = load.paced(server.url, f"/{route}", asked, rate, CALLERS, 2 * seconds)
    return f"{share:.0%}", found, simulate(cost.worker, rate, CALLERS, 2 * seconds)


def _runs(server: Server) -> tuple[float, float]:
    """Return how many runs there were of all graphs, and of how many rows."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:  # noqa: S310 - our own
        text = answer.read().decode()

    def total(name: str) -> float:
        return sum(float(value) for value in re.findall(rf"^{name}{{.*}} (.+)$", text, flags=re.MULTILINE))

    return total("latent_batch_rows_count"), total("latent_batch_rows_sum")


def _compared_table(route: str, cost: Cost, rows: list[tuple[str, load.Load, Seen]]) -> Table:
    def cell(measured: float, reckoned: float) -> str:
        return f"{measured:,.4g} and {reckoned:,.4g} ({reckoned / measured:.2f})"

    return Table(
        title=f"/{route}: measured and on paper",
        note=f"One worker, {CALLERS} connections that ask at random times. On paper a round of n requests "
        f"takes {cost.worker.round_s * 1e6:.0f} + {cost.worker.request_s * 1e6:.0f} n microseconds, fitted "
        f"to {', '.join(map(str, LOADS))} connections without a pause; the runs of this table are not used.",
        columns=("asked for, of what it can answer", "answers/s", "p50 ms", "p99 ms"),
        rows=tuple(
            (
                share,
                cell(found.per_second, seen.per_second),
                cell(found.p50_ms, seen.p50_ms),
                cell(found.p99_ms, seen.p99_ms),
            )
            for share, found, seen in rows
        ),
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
