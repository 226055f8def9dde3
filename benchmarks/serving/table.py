"""Medians over the repeats, and ratios to ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median
from typing import Any

from training.studies.findings import Table

OURS = "latent-service 2"

Cell = dict[str, Any]
Grouped = dict[tuple[str, Any], list[Cell]]
"""The repeats of one measurement, by server and by the way it was loaded."""


def tables(cells: Iterable[Cell]) -> list[Table]:
    """Return the tables of single requests, of large ones, of paced ones, and of starts and memory."""
    by_kind: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_kind[cell["kind"]].append(cell)
    routes = list(dict.fromkeys(cell["route"] for cell in by_kind["load"]))
    found = [_load_table(route, [c for c in by_kind["load"] if c["route"] == route]) for route in routes]
    return [
        *found,
        _bulk_table(by_kind["bulk"], by_kind["limit"]),
        _paced_table(by_kind["paced"]),
        _start_table(by_kind["start"], by_kind["end"]),
    ]


def _load_table(route: str, cells: list[Cell]) -> Table:
    """Return requests per second, latency and cores by server and number of connections."""
    grouped = _grouped(cells, "connections")
    columns = sorted({connections for _, connections in grouped})
    return Table(
        title=f"/{route}, one image per request",
        note="Requests/s (ours / it), p50/p99 in ms, cores that the server took.",
        columns=("server", *(f"{connections} connections" for connections in columns)),
        rows=tuple(
            (server, *(_load_text(grouped, server, connections) for connections in columns))
            for server in _servers(cells)
        ),
    )


def _load_text(grouped: Grouped, server: str, connections: int) -> str:
    cells = grouped[server, connections]
    if any(cell["void"] for cell in cells):
        return "void: the load generator was the limit"
    errors = sum(cell["errors"] for cell in cells)
    return (
        f"{_speed(grouped, server, connections, 'per_second')},"
        f" {_median(cells, 'p50_ms'):.1f}/{_median(cells, 'p99_ms'):.0f}, {_median(cells, 'server_cpu'):.1f}"
        + (f", {errors} errors" if errors else "")
    )


BULK = {
    "encode 1": "256 encoded",
    "encode 2": "twice 256 at once",
    "generate 1": "1,000 drawn",
    "generate 2": "twice 1,000 at once",
}


def _bulk_table(cells: list[Cell], limits: list[Cell]) -> Table:
    grouped, limit = _grouped(cells, "way"), _grouped(limits, "route")
    most = [round(_median(limit["no server", way.split()[0]], "speed")) for way in BULK]
    return Table(
        title="Many images in one request",
        note="Images/s (ours / it). No server: the network alone, in one process per core.",
        columns=("server", *BULK.values()),
        rows=(
            *(
                (server, *(_speed(grouped, server, way, "images_per_s") for way in BULK))
                for server in _servers(cells)
            ),
            ("no server", *(f"{speed:,}" for speed in most)),
        ),
    )


def _paced_table(cells: list[Cell]) -> Table:
    grouped = _grouped(cells, "way")
    ways = list(dict.fromkeys(cell["way"] for cell in cells))
    return Table(
        title="Requests at random times",
        note="p50/p99/longest in ms. The large requests are those of 256 images to encode, without a pause.",
        columns=("server", *ways),
        rows=tuple((server, *(_waits(grouped[server, way]) for way in ways)) for server in _servers(cells)),
    )


def _waits(cells: list[Cell]) -> str:
    p50, p99, longest = (_median(cells, key) for key in ("p50_ms", "p99_ms", "max_ms"))
    errors = sum(cell["errors"] for cell in cells)
    return f"{p50:.1f}/{p99:.1f}/{longest:.0f}" + (f", {errors} errors" if errors else "")


def _speed(grouped: Grouped, server: str, way: Any, key: str) -> str:
    """Return a server's speed and, of another than ours, how many times as fast ours is."""
    speed = _median(grouped[server, way], key)
    ours = grouped.get((OURS, way))
    return f"{speed:,.0f}" + (f" ({_median(ours, key) / speed:.2f})" if ours and server != OURS else "")


def _start_table(starts: list[Cell], ends: list[Cell]) -> Table:
    first, last = _grouped(starts, "kind"), _grouped(ends, "kind")
    return Table(
        title="Start and memory",
        columns=("server", "s to the first answer", "PSS MiB then", "PSS MiB after the load", "settings"),
        rows=tuple(
            (
                server,
                f"{_median(first[server, 'start'], 'first_answer_s'):.2f}",
                f"{_median(first[server, 'start'], 'pss_mib'):.0f}",
                f"{_median(last[server, 'end'], 'pss_mib'):.0f}",
                first[server, "start"][0]["settings"],
            )
            for server in _servers(starts)
        ),
    )


def _grouped(cells: list[Cell], key: str) -> Grouped:
    found: Grouped = defaultdict(list)
    for cell in cells:
        found[cell["server"], cell[key]].append(cell)
    return dict(found)


def _servers(cells: list[Cell]) -> list[str]:
    return list(dict.fromkeys(cell["server"] for cell in cells))


def _median(cells: list[Cell], key: str) -> float:
    return float(median(cell[key] for cell in cells))
