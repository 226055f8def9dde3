"""What docs/tracing.md shows works as it is written, and it names every variable and attribute rightly."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk import environment_variables
from opentelemetry.sdk.trace import TracerProvider

from service.client import Client
from service.observability import trace_exporter, traces
from support import doc_examples
from support.otlp_collector import SERVER, Collector
from support.service_process import ROOT, ServiceProcess

GUIDE = (ROOT / "docs" / "tracing.md").read_text()
START, ASK = doc_examples.blocks("tracing.md", "sh")
(PROGRAM,) = doc_examples.blocks("tracing.md", "python")
TRACE_ID, CALLER_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[ServiceProcess]:
    """The one that the guide starts, with the collector where it is, and spans that do not linger."""
    *exports, command = START.splitlines()
    assert command == "python -m service"
    given = dict(re.findall(r"(OTEL_\w+)=(\S+)", "\n".join(exports)))
    assert given.pop("OTEL_EXPORTER_OTLP_ENDPOINT") == "http://localhost:4318"
    log = tmp_path_factory.mktemp("guide") / "log"
    variables = {**given, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with ServiceProcess(
        ROOT / "checkpoints", log, collector=collector.address, variables=variables
    ) as process:
        yield process


@pytest.mark.usefixtures("curl")
def test_a_traced_request_of_curl(service: ServiceProcess, collector: Collector, tmp_path: Path):
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    asked = ASK.replace("localhost:8000", service.url)
    command = ["bash", "-euo", "pipefail", "-c", asked]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    server, *phases = collector.trace(TRACE_ID, ["postprocess"])
    assert ended.stdout.strip() == f"traceresponse: 00-{TRACE_ID}-{server.span_id}-01"
    assert server.parent_id == CALLER_ID
    assert [span.name for span in phases] == re.findall(r"^\| `(\w+)` \| ", GUIDE, re.M)[:4]


def test_every_attribute_is_in_the_guide(service: ServiceProcess, collector: Collector):
    with service.client() as client:
        client.post("/decode", json={}, headers={"traceparent": f"00-{'12' * 16}-{CALLER_ID}-01"})
    (server,) = collector.trace("12" * 16)
    named = [value for value in vars(traces).values() if isinstance(value, str)]
    ours = {name for name in named if name.startswith("latent.")}
    assert len(ours) == 8
    assert [name for name in ours | server.attributes.keys() if f"`{name}`" not in GUIDE] == []


def test_the_program_runs(service: ServiceProcess, tmp_path: Path):
    program = PROGRAM.replace("http://127.0.0.1:8000", service.url)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert len(ended.stdout.strip("[]\n").split(",")) == 4


def test_the_client_passes_the_active_span_on(service: ServiceProcess, collector: Collector):
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with Client(service.url) as client, tracer.start_as_current_span("asks") as span:
        client.generate(2, model="fashion-cgan")
    context = span.get_span_context()
    spans = collector.trace(f"{context.trace_id:032x}")
    assert {one.parent_id for one in spans if one.kind == SERVER} == {f"{context.span_id:016x}"}


def test_every_variable_of_the_guide_is_read():
    named = set(re.findall(r"OTEL_\w+", GUIDE))
    ours = {*trace_exporter.ENDPOINTS, trace_exporter.PROTOCOLS[1], trace_exporter.EXPORTER}
    assert ours <= named
    assert named - ours <= set(vars(environment_variables))
