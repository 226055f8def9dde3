"""What Ray Serve takes: the same application in one process under uvicorn, and in one replica of Ray's.

Ray has two proxies: its own, which hands every request on by a call of the replica's actor, and HAProxy,
which connects to the replica.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from benchmarks.serving import bodies, load
from benchmarks.serving.peers.configurations import ENVIRONMENTS, HERE, QUIET
from benchmarks.serving.server import CannotRun, Configuration, Server
from benchmarks.serving.work import CHECKPOINTS
from training.studies.findings import Findings, Table

REPEATS = 2
ROUTES = ("encode", "generate")
CONNECTIONS = (1, 16)
PYTHON = ENVIRONMENTS / "ray" / "bin" / "python"
SERVES = (("LATENT_CHECKPOINTS", str(CHECKPOINTS.absolute())),)
FACTORY = f"{HERE}.plain_uvicorn:app"
UVICORN, RAY, HAPROXY = "uvicorn", "Ray's own proxy", "HAProxy"

CONFIGURATIONS = (
    Configuration(
        UVICORN,
        (sys.executable, "-m", "uvicorn", "--factory", FACTORY, "--port", "{port}", *QUIET),
        8260,
        "one process",
        SERVES,
        "latent",
    ),
    Configuration(RAY, (str(PYTHON), "-m", f"{HERE}.ray_replica"), 8261, "one replica", SERVES, "latent"),
    Configuration(
        HAPROXY,
        (str(PYTHON), "-m", f"{HERE}.ray_replica"),
        8262,
        "one replica",
        (*SERVES, ("RAY_SERVE_ENABLE_HA_PROXY", "1")),
        "latent",
    ),
)

Way = tuple[str, int]
"""A route and how many connections ask for it."""


def findings(seconds: float) -> Findings:
    """Load every configuration in turns.

    Raises:
        CannotRun: Ray is not installed where it is looked for.
    """
    if not Path(PYTHON).is_file():
        raise CannotRun(f"there is no {PYTHON}; benchmarks/README.md says how to make it")
    found: dict[str, dict[Way, list[load.Load]]] = defaultdict(lambda: defaultdict(list))
    for repeat in range(REPEATS):
        for configuration in CONFIGURATIONS if repeat % 2 == 0 else reversed(CONFIGURATIONS):
            with Server(configuration) as server:
                _load(server, seconds, found[configuration.name])
    question = "What does Ray Serve take from the same application?"
    tables = tuple(_table(route, found) for route in ROUTES)
    return Findings(title="Overhead of Ray Serve", question=question, parts=tables)


def _load(server: Server, seconds: float, found: dict[Way, list[load.Load]]) -> None:
    for route in ROUTES:
        asked = bodies.write("latent", route)
        load.closed_loop(server.url, f"/{route}", asked, max(CONNECTIONS), 1)
        for connections in CONNECTIONS:
            found[route, connections].append(
                load.closed_loop(server.url, f"/{route}", asked, connections, seconds)
            )


def _table(route: str, found: dict[str, dict[Way, list[load.Load]]]) -> Table:
    rows = []
    for name, loads in found.items():
        cells: list[str | float] = [name]
        for connections in CONNECTIONS:
            speed, p50_ms = _medians(loads[route, connections])
            best, best_p50_ms = _medians(found[UVICORN][route, connections])
            cells += [round(speed), f"{best / speed:.2f}", f"{p50_ms:.1f}", f"{p50_ms - best_p50_ms:+.1f}"]
        rows.append(tuple(cells))
    columns = [
        f"{what}, {connections} connection{'s' if connections > 1 else ''}"
        for connections in CONNECTIONS
        for what in ("requests/s", "uvicorn's over it", "p50 ms", "more than uvicorn's")
    ]
    note = f"One image per request, medians of {REPEATS} runs in turns; errors: {_errors(route, found)}."
    return Table(title=f"/{route}", note=note, columns=("behind", *columns), rows=tuple(rows))


def _medians(loads: list[load.Load]) -> tuple[float, float]:
    return median(one.per_second for one in loads), median(one.p50_ms for one in loads)


def _errors(route: str, found: dict[str, dict[Way, list[load.Load]]]) -> int:
    return sum(
        one.errors
        for ways in found.values()
        for (asked, _), loads in ways.items()
        for one in loads
        if asked == route
    )
