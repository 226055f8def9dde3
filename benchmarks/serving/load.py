"""The load: wrk on one thread for single requests, one plain client for bulk requests."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
MOST_CPU = 0.8
"""Cores that the load generator may take; beyond, it limits what it measures and the cell is void."""


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int
    """Refused, failed and lost requests."""
    generator_cpu: float
    """Cores that wrk took."""

    @property
    def void(self) -> bool:
        """Return whether the load generator was the limit."""
        return self.generator_cpu > MOST_CPU


def closed_loop(url: str, path: str, bodies: Path, connections: int, seconds: float) -> Load:
    """Send as fast as it is answered, one request at a time on each connection."""
    return _wrk(url, connections, seconds, [str(bodies), path])


def paced(url: str, path: str, bodies: Path, rate: float, connections: int, seconds: float) -> Load:
    """Send about `rate` requests a second at random times, one at a time on each connection."""
    return _wrk(url, connections, seconds, [str(bodies), path, str(rate), str(connections)])


def _wrk(url: str, connections: int, seconds: float, arguments: list[str]) -> Load:
    before = _children_cpu_s()
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--timeout",
        "10s",
        "-s",
        str(SCRIPT),
        url,
    ]
    whole = [*command, "--", *arguments]
    printed = subprocess.run(whole, capture_output=True, text=True, check=True).stdout  # noqa: S603
    found = json.loads(printed.rpartition("RESULT ")[2])
    return Load(
        per_second=found["requests"] / found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        max_ms=found["max_ms"],
        errors=found["errors"],
        generator_cpu=(_children_cpu_s() - before) / found["seconds"],
    )


def bulk(ask: Callable[[], object], images: int, seconds: float, clients: int = 1) -> float:
    """Return images per second of `clients` that send one large request after another, the median."""
    ask()
    end = time.perf_counter() + seconds
    times: list[float] = []

    def send() -> None:
        while time.perf_counter() < end:
            started = time.perf_counter()
            ask()
            times.append(time.perf_counter() - started)

    senders = [threading.Thread(target=send) for _ in range(clients)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return clients * images / statistics.median(times)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
