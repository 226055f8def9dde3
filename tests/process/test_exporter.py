"""Sending traces: what the environment asks for, what it cannot have, and a collector that fails."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.otlp_collector import SOON, Collector, parent, traceresponse
from support.service_process import ServiceProcess, StartService, free_port, run_service, wait_until

AT_THE_END = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
SMALL = {
    **SOON,
    "OTEL_BSP_MAX_QUEUE_SIZE": "10",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "600",
}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def test_lines_of_the_log_lead_to_the_trace_too(
    tmp_path: Path, start_service: StartService, collector: Collector
):
    service = start_service(collector=collector.address)
    answer = service.get("/nowhere")
    trace_id, span_id, _ = traceresponse(answer)
    request_id = answer.headers["x-request-id"]
    line = rf" {request_id} GET unknown 404 \S+ ms trace_id={trace_id} span_id={span_id}$"
    wait_until(lambda: re.search(line, service.log(), re.M), "it is logged")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_left_is_sent_at_the_end(
    tmp_path: Path, start_service: StartService, collector: Collector, workers: int
):
    service = start_service(collector=collector.address, workers=workers, variables=AT_THE_END)
    ids = {traceresponse(service.get("/health/live"))[0] for _ in range(20)}
    assert not ids & {span.trace_id for span in collector.spans}
    service.stop()
    assert service.wait() == 0
    assert ids <= {span.trace_id for span in collector.spans}


def check_undisturbed(service: ServiceProcess) -> None:
    """Ask more than the queue of spans holds, and stop the service."""
    with service.client() as client:
        for _ in range(50):
            assert client.get("/health/live").status_code == 200
        service.stop()
    assert service.wait() == 0


def test_a_collector_that_is_down_disturbs_nothing(tmp_path: Path, start_service: StartService):
    check_undisturbed(start_service(collector=f"127.0.0.1:{free_port()}", variables=SMALL))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_collector_that_hangs_disturbs_nothing(tmp_path: Path, start_service: StartService, workers: int):
    """Each export could take ten minutes; the end of the service does not wait for it."""
    with Collector(answers=False) as hanging:
        service = start_service(collector=hanging.address, workers=workers, variables=SMALL)
        service.get("/health/live")
        assert hanging.asked.wait(10)
        check_undisturbed(service)


def test_the_sampler_is_the_environments(tmp_path: Path, start_service: StartService, collector: Collector):
    variables = {**SOON, "OTEL_TRACES_SAMPLER": "parentbased_always_off", "OTEL_SERVICE_NAME": "images"}
    service = start_service(collector=collector.address, variables=variables)
    with service.client() as client:
        unasked, _, flags = traceresponse(client.get("/health/live"))
        trace_id, _, headers = parent()
        client.get("/health/live", headers=headers)
    (server,) = collector.trace(trace_id)
    assert server.resource["service.name"] == "images"
    assert int(flags, 16) & 1 == 0
    assert unasked not in {span.trace_id for span in collector.spans}


def sdk_files(service: ServiceProcess) -> list[Path]:
    return [path for path in service.files() if "opentelemetry/sdk" in str(path)]


@pytest.mark.parametrize("off", [{}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_without_a_collector_nothing_is_loaded_and_nothing_said(
    tmp_path: Path, start_service: StartService, off: dict[str, str]
):
    address = f"127.0.0.1:{free_port()}" if off else None
    service = start_service(audit_files=True, collector=address, variables=off)
    answer = service.get("/health/live")
    assert "traceresponse" not in answer.headers
    assert sdk_files(service) == []


def test_with_a_collector_the_sdk_is_loaded(
    tmp_path: Path, start_service: StartService, collector: Collector
):
    assert sdk_files(start_service(audit_files=True, collector=collector.address))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:99999"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://:4318"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-3"),
    ],
)
def test_a_variable_that_cannot_be_followed_is_one_clear_line(variable: str, value: str):
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", variable: value}
    ended = run_service("--port=0", **variables)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"{variable}: ")
    assert ended.stderr.count("\n") == 1
    assert value not in ended.stderr


def test_a_limit_that_the_sdk_refuses_is_one_clear_line():
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SPAN_LINK_COUNT_LIMIT": "-1"}
    ended = run_service("--port=0", **variables)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "OTEL_SPAN_LINK_COUNT_LIMIT must be a non-negative integer but got -1\n"


@pytest.mark.parametrize(
    ("variable", "value", "logged"),
    [
        ("OTEL_BSP_EXPORT_TIMEOUT", "soon", "Unable to parse value for OTEL_BSP_EXPORT_TIMEOUT"),
        ("OTEL_TRACES_SAMPLER", "some", "Couldn't recognize sampler some"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "Invalid timeout value 'soon'"),
    ],
)
def test_what_the_sdk_passes_over_is_logged(
    start_service: StartService, collector: Collector, variable: str, value: str, logged: str
):
    service = start_service(collector=collector.address, variables={**SOON, variable: value})
    assert logged in service.log()
    collector.trace(traceresponse(service.get("/health/live"))[0])


def test_missing_packages_are_one_clear_line(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text('import sys\nsys.modules["opentelemetry.sdk"] = None\n')
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "PYTHONPATH": str(tmp_path)}
    ended = run_service("--port=0", **variables)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, which needs more packages: "
        "pip install 'latent-service[tracing]'\n"
    )
