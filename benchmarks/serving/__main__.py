"""python -m benchmarks.serving: our service and its peers on the same work, as one table with ratios.

Every repeat starts every server once, in alternating order, and loads it alone. Figures are medians over
the repeats; what a ratio compares was measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.serving import bodies, load, work
from benchmarks.serving.peers.configurations import CONFIGURATIONS
from benchmarks.serving.server import CannotRun, Configuration, Server, check_idle
from benchmarks.serving.table import Cell, tables
from training.study import Findings, markdown

ROUTES = ("encode", "generate")
CONNECTIONS = (1, 8, 64, 256)
WARM_UP_S = 1
QUESTION = "How fast do our service and other servers answer the same requests on the same machine?"
RESULTS = work.FOLDER / "results.jsonl"


def main() -> int:
    """Measure what was asked for and print the tables."""
    options = _options()
    work.prepare()
    try:
        cells = _measure([CONFIGURATIONS[name] for name in options.servers], options.repeats, options.seconds)
    except CannotRun as error:
        sys.stderr.write(f"benchmarks.serving: {error}\n")
        return 1
    RESULTS.write_text("".join(json.dumps(cell) + "\n" for cell in cells))
    found = Findings(title="The service under load", question=QUESTION, parts=tuple(tables(cells)))
    print("\n".join(markdown(found)))  # noqa: T201 - this is the command's output
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    installed = [name for name, server in CONFIGURATIONS.items() if Path(server.command[0]).is_file()]
    parser.add_argument("servers", nargs="*", default=installed, choices=installed)
    parser.add_argument("--repeats", type=int, default=3, help="times each server is started and loaded")
    parser.add_argument("--seconds", type=int, default=4, help="seconds of load per cell")
    return parser.parse_args()


def _measure(servers: list[Configuration], repeats: int, seconds: int) -> list[Cell]:
    check_idle()
    cells: list[Cell] = []
    for repeat in range(repeats):
        for configuration in servers if repeat % 2 == 0 else reversed(servers):
            with Server(configuration) as server:
                for cell in _cells(server, seconds):
                    cells.append({"server": configuration.name, "repeat": repeat, **cell})
                    print(cells[-1], file=sys.stderr, flush=True)  # noqa: T201 - progress
    return cells


def _cells(server: Server, seconds: int) -> Iterator[Cell]:
    """Load one server in every way, alone."""
    dialect = server.configuration.dialect
    yield {
        "kind": "start",
        "first_answer_s": server.first_answer_s,
        "pss_mib": server.pss_mib(),
        "settings": server.configuration.about,
    }
    for route in ROUTES:
        asked = bodies.write(dialect, route)
        load.closed_loop(server.url, f"/{route}", asked, 8, WARM_UP_S)
        for connections in CONNECTIONS:
            before = server.cpu_s()
            found = load.closed_loop(server.url, f"/{route}", asked, connections, seconds)
            cpu = (server.cpu_s() - before) / seconds
            yield {
                "kind": "load",
                "route": route,
                "connections": connections,
                "server_cpu": cpu,
                "void": found.void,
                **asdict(found),
            }
    for name, request in (("encode", bodies.bulk_encode), ("generate", bodies.bulk_generate)):
        path, body, kind, images = request(dialect)
        speed = load.bulk(lambda: server.post(path, body, kind), images, seconds)  # noqa: B023 - used at once
        yield {"kind": "bulk", "route": name, "images_per_s": speed}
    yield {"kind": "end", "pss_mib": server.pss_mib()}


if __name__ == "__main__":
    sys.exit(main())
