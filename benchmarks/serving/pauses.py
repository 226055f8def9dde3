"""The longest wait in ten minutes of load: a garbage collector that stops the world would show here."""

from __future__ import annotations

from benchmarks.serving import bodies, load
from benchmarks.serving.peers.configurations import CONFIGURATIONS
from benchmarks.serving.server import Server
from benchmarks.serving.table import OURS
from training.studies.findings import Findings, Table

MINUTES = 10
CONNECTIONS = 8


def findings(_: float) -> Findings:
    """Load our service for ten minutes and return the waits."""
    asked = bodies.write("latent", "encode")
    with Server(CONFIGURATIONS[OURS]) as server:
        before = server.pss_mib()
        found = load.closed_loop(server.url, "/encode", asked, CONNECTIONS, 60 * MINUTES)
        after = server.pss_mib()
    row = (
        round(found.per_second * 60 * MINUTES),
        found.errors,
        found.p50_ms,
        found.p99_ms,
        found.max_ms,
        round(before),
        round(after),
    )
    columns = ("requests", "errors", "p50 ms", "p99 ms", "longest ms", "PSS MiB before", "PSS MiB after")
    table = Table(
        title=f"{MINUTES} minutes of /encode over {CONNECTIONS} connections", columns=columns, rows=(row,)
    )
    return Findings(title="Pauses", question="Does anything stop the service now and then?", parts=(table,))
