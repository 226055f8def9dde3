"""A collector that is not ours, Rotel, takes the service's traces in and passes them on, as collectors do."""

import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support.otlp_collector import Collector
from support.service_process import ServiceProcess, free_port, wait_until
from support.tiny_checkpoints import write_tiny

PHASES = ["queue", "compute", "postprocess"]


@pytest.fixture
def behind() -> Iterator[Collector]:
    """What Rotel passes the traces on to."""
    with Collector() as running:
        yield running


@pytest.fixture
def rotel(environment: Callable[..., Path], behind: Collector, tmp_path: Path) -> Iterator[str]:
    """Return the address of a running Rotel."""
    python = environment("rotel", "rotel==0.0.1a15")
    (program,) = python.parent.parent.glob("lib/python3*/site-packages/rotel/rotel-agent")
    address = f"127.0.0.1:{free_port()}"
    options = {
        "pid-file": tmp_path / "rotel.pid",
        "otlp-http-endpoint": address,
        "otlp-grpc-endpoint": f"127.0.0.1:{free_port()}",
        "exporter": "otlp",
        "otlp-exporter-protocol": "http",
        "otlp-exporter-endpoint": f"http://{behind.address}",
        "traces-batch-timeout": "50ms",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    with (tmp_path / "rotel.log").open("wb") as log:
        process = subprocess.Popen([program, "start", *flags], stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(address), "Rotel listens")
        yield address
    finally:
        process.terminate()
        process.wait(20)


def listens(address: str) -> bool:
    try:
        httpx.get(f"http://{address}")
    except httpx.ConnectError:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2])
def test_traces_go_through_a_real_collector(tmp_path: Path, behind: Collector, rotel: str, workers: int):
    write_tiny(tmp_path / "checkpoints", "tiny", default_for=("decode",))
    variables = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    with (
        ServiceProcess(
            tmp_path / "checkpoints", tmp_path / "log", workers, collector=rotel, variables=variables
        ) as service,
        service.client() as client,
    ):
        trace_id, caller_id = secrets.token_hex(16), secrets.token_hex(8)
        headers = {"traceparent": f"00-{trace_id}-{caller_id}-01"}
        answer = client.post("/decode", json={"latents": [[0, 0, 0, 0]]}, headers=headers)
        server, *phases = behind.trace(trace_id, PHASES)
    assert answer.status_code == 200
    assert (server.name, server.parent_id) == ("POST /decode", caller_id)
    assert server.resource["service.name"] == "latent-service"
    assert [span.name for span in phases] == PHASES
    assert {span.parent_id for span in phases} == {server.span_id}
    assert all(span.is_within(server) for span in phases)
