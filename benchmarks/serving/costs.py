"""What each feature of our service takes: requests and processor time with it and without."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from benchmarks.serving import bodies, load
from benchmarks.serving.changed import FEATURES
from benchmarks.serving.peers.configurations import ours
from benchmarks.serving.server import Server
from training.study import Findings, Table

CONNECTIONS = 64
REPEATS = 5
EVERYTHING = "nothing: the whole service"


def findings(seconds: float) -> Findings:
    """Load the service with all features and without each, in turns."""
    asked = bodies.write("latent", "encode")
    times: dict[str, list[float]] = {name: [] for name in (EVERYTHING, *FEATURES)}
    for _ in range(REPEATS):
        for name, found in times.items():
            started = ours(1, 8205, module="benchmarks.serving.changed")
            with Server(replace(started, environment=(("WITHOUT", name),))) as server:
                load.closed_loop(server.url, "/encode", asked, CONNECTIONS, 1)
                before = server.cpu_s()
                speed = load.closed_loop(server.url, "/encode", asked, CONNECTIONS, seconds).per_second
                found.append((server.cpu_s() - before) / seconds / speed * 1e6)
    whole = median(times[EVERYTHING])
    rows = tuple(
        (name, round(median(found), 1), "" if name == EVERYTHING else f"{whole / median(found) - 1:+.1%}")
        for name, found in times.items()
    )
    table = Table(
        title=f"/encode over {CONNECTIONS} connections, one worker",
        note="Processor time of the worker per request, the median of "
        f"{REPEATS} runs in turns, and how much more the whole service takes.",
        columns=("without", "microseconds per request", "cost of it"),
        rows=rows,
    )
    return Findings(
        title="What features cost", question="What do checks, limits and metrics take?", parts=(table,)
    )
