"""Medians over the repeats, and ratios to ours, as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median
from typing import Any

OURS = "latent-service 2"

Cell = dict[str, Any]


def tables(cells: Iterable[Cell]) -> list[str]:
    """Return one table per route, one of bulk requests and one of starts and memory."""
    by_kind: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_kind[cell["kind"]].append(cell)
    routes = list(dict.fromkeys(cell["route"] for cell in by_kind["load"]))
    found = [_load_table(route, [c for c in by_kind["load"] if c["route"] == route]) for route in routes]
    return [*found, _bulk_table(by_kind["bulk"]), _start_table(by_kind["start"], by_kind["end"])]


def _load_table(route: str, cells: list[Cell]) -> str:
    """Return requests per second, latency and cores by server and number of connections."""
    grouped = _grouped(cells, "connections")
    columns = sorted({connections for _, connections in grouped})
    rows = []
    for server in _servers(cells):
        row = [server]
        for connections in columns:
            here, ours = grouped[server, connections], grouped.get((OURS, connections))
            row.append(_load_text(here, ours))
        rows.append(row)
    title = f"**/{route}, one image per request**: requests/s (ours / it), p50/p99 ms, cores"
    return _markdown(title, ["server", *(f"{connections} connections" for connections in columns)], rows)


def _load_text(cells: list[Cell], ours: list[Cell] | None) -> str:
    if any(cell["void"] for cell in cells):
        return "void: the load generator was the limit"
    speed = _median(cells, "per_second")
    ratio = f" ({_median(ours, 'per_second') / speed:.2f})" if ours and ours is not cells else ""
    errors = sum(cell["errors"] for cell in cells)
    return (
        f"{speed:,.0f}{ratio}, {_median(cells, 'p50_ms'):.1f}/{_median(cells, 'p99_ms'):.0f},"
        f" {_median(cells, 'server_cpu'):.1f}" + (f", {errors} errors" if errors else "")
    )


def _bulk_table(cells: list[Cell]) -> str:
    grouped = _grouped(cells, "route")
    rows = [
        [server, *(_bulk_text(grouped, server, route) for route in ("encode", "generate"))]
        for server in _servers(cells)
    ]
    return _markdown(
        "**Many images in one request**: images/s (ours / it)", ["server", "256 encoded", "1,000 drawn"], rows
    )


def _bulk_text(grouped: dict[tuple[str, Any], list[Cell]], server: str, route: str) -> str:
    speed = _median(grouped[server, route], "images_per_s")
    ours = grouped.get((OURS, route))
    return f"{speed:,.0f}" + (
        f" ({_median(ours, 'images_per_s') / speed:.2f})" if ours and server != OURS else ""
    )


def _start_table(starts: list[Cell], ends: list[Cell]) -> str:
    first, last = _grouped(starts, "kind"), _grouped(ends, "kind")
    rows = [
        [
            server,
            f"{_median(first[server, 'start'], 'first_answer_s'):.2f}",
            f"{_median(first[server, 'start'], 'pss_mib'):.0f}",
            f"{_median(last[server, 'end'], 'pss_mib'):.0f}",
        ]
        for server in _servers(starts)
    ]
    return _markdown(
        "**Start and memory**",
        ["server", "s to the first answer", "PSS MiB then", "PSS MiB after the load"],
        rows,
    )


def _grouped(cells: list[Cell], key: str) -> dict[tuple[str, Any], list[Cell]]:
    found: dict[tuple[str, Any], list[Cell]] = defaultdict(list)
    for cell in cells:
        found[cell["server"], cell[key]].append(cell)
    return dict(found)


def _servers(cells: list[Cell]) -> list[str]:
    return list(dict.fromkeys(cell["server"] for cell in cells))


def _median(cells: list[Cell], key: str) -> float:
    return float(median(cell[key] for cell in cells))


def _markdown(title: str, head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([title, "", *(f"| {' | '.join(line)} |" for line in lines)])
