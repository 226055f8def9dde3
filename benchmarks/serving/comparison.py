"""Our service and its peers on the same work, as tables with ratios.

Every repeat starts every server once, in alternating order, and loads it alone. Figures are medians over
the repeats; what a ratio compares was measured in the same run.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from benchmarks.serving import bodies, limit, load, work
from benchmarks.serving.server import Configuration, Server
from benchmarks.serving.table import Cell, tables
from training.studies.findings import Findings

ROUTES = ("encode", "generate")
CONNECTIONS = (1, 8, 64, 256)
WARM_UP_S = 1
PACE = 2000
"""Requests per second of the paced load, over 256 connections."""
QUIET_PACE = 300
"""Requests per second over 8 connections, while somebody sends large requests beside them."""
QUESTION = "How fast do our service and other servers answer the same requests on the same machine?"
RESULTS = work.FOLDER / "comparison.jsonl"


def findings(servers: Sequence[Configuration], repeats: int, seconds: float) -> Findings:
    """Measure the servers and return the tables."""
    cells = list(_measured(servers, repeats, seconds))
    RESULTS.write_text("".join(json.dumps(cell) + "\n" for cell in cells))
    return Findings(title="The service under load", question=QUESTION, parts=tuple(tables(cells)))


def _measured(servers: Sequence[Configuration], repeats: int, seconds: float) -> Iterator[Cell]:
    for repeat in range(repeats):
        for route in ROUTES:
            speed = limit.images_per_s(route, seconds)
            yield {"server": "no server", "repeat": repeat, "kind": "limit", "route": route, "speed": speed}
        for configuration in servers if repeat % 2 == 0 else reversed(servers):
            with Server(configuration) as server:
                for cell in _cells(server, seconds):
                    print(configuration.name, cell, file=sys.stderr, flush=True)  # noqa: T201 - progress
                    yield {"server": configuration.name, "repeat": repeat, **cell}


def _cells(server: Server, seconds: float) -> Iterator[Cell]:
    """Load one server in every way, alone."""
    yield {
        "kind": "start",
        "first_answer_s": server.first_answer_s,
        "pss_mib": server.pss_mib(),
        "settings": server.configuration.about,
    }
    for route in ROUTES:
        yield from _single_requests(server, route, seconds)
    yield from _large_requests(server, seconds)
    asked = bodies.write(server.configuration.dialect, "encode")
    paced = load.paced(server.url, "/encode", asked, PACE, 256, seconds)
    yield {"kind": "paced", "way": f"/encode, {PACE:,} per second", **asdict(paced)}
    yield from _beside_large_requests(server, seconds)
    yield {"kind": "end", "pss_mib": server.pss_mib()}


def _single_requests(server: Server, route: str, seconds: float) -> Iterator[Cell]:
    asked = bodies.write(server.configuration.dialect, route)
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


def _large_requests(server: Server, seconds: float) -> Iterator[Cell]:
    for route, request in (("encode", bodies.bulk_encode), ("generate", bodies.bulk_generate)):
        path, body, kind, images = request(server.configuration.dialect)
        for clients in (1, 2):
            speed = load.bulk(lambda: server.post(path, body, kind), images, seconds, clients)  # noqa: B023
            yield {"kind": "bulk", "way": f"{route} {clients}", "images_per_s": speed}


def _beside_large_requests(server: Server, seconds: float) -> Iterator[Cell]:
    """Pace single requests, quietly and while a client sends large ones without a pause."""
    asked = bodies.write(server.configuration.dialect, "encode")
    path, body, kind, _ = bodies.bulk_encode(server.configuration.dialect)
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            server.post(path, body, kind)

    for way in ("quiet", "beside large requests"):
        client = threading.Thread(target=send)
        if way != "quiet":
            client.start()
        found = load.paced(server.url, "/encode", asked, QUIET_PACE, 8, seconds)
        stop.set()
        if client.ident:
            client.join()
        stop.clear()
        yield {"kind": "paced", "way": f"/encode, {QUIET_PACE} per second, {way}", **asdict(found)}
