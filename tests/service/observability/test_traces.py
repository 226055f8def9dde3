"""The trace of one request: what its spans say, and what costs nothing where nobody listens."""

import asyncio

import pytest
from opentelemetry.trace import StatusCode

from service.errors import InferenceFailed, QueueFull, ServiceError
from service.observability import traces
from service.observability.traces import NO_ATTRIBUTES, Trace
from support.recorded_spans import RecordedSpans

ZERO_NS = 1_000_000_000_000


def inside(trace: Trace, error: ServiceError | None = None) -> list[Trace | None]:
    """Return what a task finds that works on a traced request, which `error` refuses."""

    async def work() -> list[Trace | None]:
        traces.enter(trace)
        if error:
            traces.refuse(error)
        return [traces.current(), traces.recorded()]

    return asyncio.run(work())


def test_without_a_trace_there_is_none_to_be_found():
    assert traces.current() is None
    assert traces.recorded() is None
    traces.refuse(QueueFull())


def test_a_task_finds_the_trace_of_its_request_and_others_do_not():
    trace = RecordedSpans().begin()
    assert inside(trace) == [trace, trace]
    assert traces.current() is None


def test_what_is_not_sampled_has_ids_and_records_nothing():
    spans = RecordedSpans(sampled=False)
    trace = spans.begin()
    assert inside(trace) == [trace, None]
    assert len(trace.ids.trace_id) == 32
    trace.end("GET /", NO_ATTRIBUTES)
    assert spans.ended() == {}


@pytest.mark.parametrize("sampled", [True, False])
def test_the_header_leads_to_the_span_and_says_whether_it_is_sampled(sampled: bool):
    trace = RecordedSpans(sampled=sampled).begin()
    version, trace_id, span_id, flags = trace.header.decode().split("-")
    assert (version, trace_id, span_id) == ("00", *trace.ids)
    assert int(flags, 16) & 1 == sampled


def test_a_child_has_its_times_on_the_clock_of_the_request():
    spans = RecordedSpans()
    trace = spans.begin(ZERO_NS)
    trace.add("compute", 1.5, 2.25, {"latent.rows": 3})
    trace.end("POST /encode", {"http.route": "/encode"})
    compute, server = spans.ended()["compute"], spans.ended()["POST /encode"]
    assert (compute.start_time, compute.end_time) == (ZERO_NS + 1_500_000_000, ZERO_NS + 2_250_000_000)
    assert compute.parent is not None
    assert compute.parent.span_id == server.context.span_id
    assert dict(compute.attributes or {}) == {"latent.rows": 3}
    assert dict(server.attributes or {}) == {"http.route": "/encode"}


def test_a_child_can_link_to_that_of_another_request_and_can_have_failed():
    spans = RecordedSpans()
    first = spans.begin().add("first", 0, 1, NO_ATTRIBUTES)
    spans.begin().add("second", 0, 1, NO_ATTRIBUTES, link=first, error="inference-failed")
    second = spans.ended()["second"]
    assert [link.context.span_id for link in second.links] == [first.span_id]
    assert second.status.status_code == StatusCode.ERROR
    assert dict(second.attributes or {}) == {"error.type": "inference-failed"}
    assert spans.ended()["first"].status.status_code == StatusCode.UNSET


def test_the_rows_of_all_runs_of_a_request_are_added_up():
    spans = RecordedSpans()
    trace = spans.begin()
    for rows in (3, 4):
        trace.note_run("tiny", 2, rows)
    trace.end("POST /reconstruct", NO_ATTRIBUTES)
    said = dict(spans.ended()["POST /reconstruct"].attributes or {})
    assert said == {"latent.model": "tiny", "latent.version": 2, "latent.rows": 7}


@pytest.mark.parametrize(
    ("error", "status", "attributes"),
    [
        (QueueFull(), StatusCode.UNSET, {"latent.problem": "queue-full"}),
        (
            InferenceFailed(),
            StatusCode.ERROR,
            {"latent.problem": "inference-failed", "error.type": "inference-failed"},
        ),
    ],
)
def test_only_what_is_not_the_callers_fault_is_a_failure(
    error: ServiceError, status: StatusCode, attributes: dict[str, str]
):
    spans = RecordedSpans()
    trace = spans.begin()
    inside(trace, error)
    trace.end("POST /decode", NO_ATTRIBUTES)
    server = spans.ended()["POST /decode"]
    assert server.status.status_code == status
    assert dict(server.attributes or {}) == attributes
