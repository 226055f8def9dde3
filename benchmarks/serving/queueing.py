"""A worker under load, on paper: requests wait while it is busy, and are answered in rounds.

    capacity -> simulate -> what callers would see

The event loop of a worker takes all requests that have arrived, runs their rows as one batch and answers.
Such a round takes some time whatever is in it, and some more for each request; both are measured.
"""

from __future__ import annotations

import heapq
import random
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

WARM_UP = 0.1
"""Share of the time at the beginning that does not count, as the queue fills."""


class Worker(NamedTuple):
    """How long a round of n requests keeps a worker busy: `round_s` + n * `request_s`."""

    round_s: float
    request_s: float
    most: int = 64
    """Requests of a round at most."""

    def per_second(self, requests: int) -> float:
        """Return how many requests it answers per second in rounds of so many."""
        return requests / (self.round_s + requests * self.request_s)


class Seen(NamedTuple):
    """What callers see."""

    per_second: float
    p50_ms: float
    p99_ms: float


def fit(rounds: list[tuple[float, float]]) -> Worker:
    """Return the worker whose rounds of n requests took about s seconds, from measured (n, s).

    Least squares of what each is off by as a share of it, since small rounds take a tenth of large ones.
    """
    sizes, seconds = np.array(rounds).T
    shares = np.stack((np.ones_like(sizes), sizes), axis=1) / seconds[:, None]
    round_s, request_s = nnls(shares, np.ones_like(sizes))[0]
    return Worker(float(round_s), float(request_s))


def simulate(worker: Worker, rate: float, connections: int, seconds: float, seed: int = 0) -> Seen:
    """Return what is seen of one worker through so many connections, which together ask at about `rate`."""
    found = waits(worker, rate, connections, seconds, seed)
    p50_s, p99_s = np.percentile(found, (50, 99))
    return Seen(len(found) / ((1 - WARM_UP) * seconds), 1000 * float(p50_s), 1000 * float(p99_s))


def waits(worker: Worker, rate: float, connections: int, seconds: float, seed: int = 0) -> list[float]:
    """Return the seconds from each request to its answer.

    Each connection sends a request, waits for its answer, and thinks for an exponential time of the mean
    `connections / rate` before the next: with many connections nearly Poisson arrivals.
    """
    think = random.Random(seed).expovariate  # noqa: S311 - nothing secret
    pace = rate / connections
    arrivals = [think(pace) for _ in range(connections)]
    heapq.heapify(arrivals)
    found, now = [], 0.0
    while now < seconds:
        now = max(now, arrivals[0])
        taken = []
        while arrivals and arrivals[0] <= now and len(taken) < worker.most:
            taken.append(heapq.heappop(arrivals))
        now += worker.round_s + len(taken) * worker.request_s
        for _ in taken:
            heapq.heappush(arrivals, now + think(pace))
        found += [now - arrived for arrived in taken if arrived > WARM_UP * seconds]
    return found
