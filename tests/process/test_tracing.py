"""Requests as OpenTelemetry spans, as a collector receives them from a running service."""

import json
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from service.media import png
from support.otlp_collector import ERROR, SOON, UNSET, Collector, Span, parent, traceresponse
from support.service_process import ServiceProcess, wait_until
from support.tiny_checkpoints import write_tiny

IMAGE = png.write(np.zeros((8, 8), np.uint8))
PNG = {"content-type": "image/png"}
LATENT = {"latents": [[0.0, 0.0, 0.0, 0.0]]}
PHASES = ["preprocess", "queue", "compute", "postprocess"]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module", params=[1, 2])
def traced(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[ServiceProcess]:
    """A service with one worker, then one with two, whose traces the collector gets."""
    root = tmp_path_factory.mktemp("traced")
    operations = ("encode", "decode", "generate")
    write_tiny(root / "checkpoints", "tiny", 3, operations=operations, default_for=operations)
    write_tiny(root / "checkpoints", "slow", 1, operations=("decode",), slow_ms=60)
    with ServiceProcess(
        root / "checkpoints",
        root / "log",
        request.param,
        collector=collector.address,
        variables=SOON,
        log_format="json",
        log_requests_share=1,
    ) as process:
        yield process


def test_a_request_is_a_span_and_its_phases_are_children(traced: ServiceProcess, collector: Collector):
    trace_id, caller_id, headers = parent()
    with traced.client(headers={"x-request-id": "asked"}) as client:
        answer = client.post("/encode", content=IMAGE, headers=headers | PNG)
    server, *phases = collector.trace(trace_id, PHASES)
    assert (server.name, server.parent_id, server.status) == ("POST /encode", caller_id, UNSET)
    assert traceresponse(answer) == (trace_id, server.span_id, "01")
    assert server.attributes == {
        "http.request.method": "POST",
        "http.route": "/encode",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/encode",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": int(traced.url.rpartition(":")[2]),
        "latent.model": "tiny",
        "latent.version": 3,
        "latent.rows": 1,
        "latent.request_id": "asked",
    }
    assert [span.name for span in phases] == PHASES
    assert {span.parent_id for span in phases} == {server.span_id}
    assert all(span.is_within(server) and span.start_ns < span.end_ns for span in phases)
    assert all(one.end_ns <= following.start_ns for one, following in pairwise(phases))
    assert [span.attributes for span in phases] == [
        {"latent.rows": 1},
        {"latent.rows": 1},
        {
            "latent.model": "tiny",
            "latent.graph": "encode",
            "latent.rows": 1,
            "latent.batch.rows": 1,
            "latent.batch.requests": 1,
        },
        {},
    ]


def test_spans_say_which_service_and_process_they_come_from(traced: ServiceProcess, collector: Collector):
    answers = [traced.get("/health/live") for _ in range(20)]
    spans = [collector.trace(traceresponse(answer)[0])[0] for answer in answers]
    assert len({span.trace_id for span in spans}) == 20
    assert {span.resource["process.pid"] for span in spans} <= set(traced.workers())
    assert {span.resource["service.name"] for span in spans} == {"latent-service"}


def test_the_callers_state_is_kept(traced: ServiceProcess, collector: Collector):
    trace_id, _, headers = parent()
    state = {"tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}
    with traced.client() as client:
        client.get("/health/live", headers=headers | state)
    (server,) = collector.trace(trace_id)
    assert server.trace_state == state["tracestate"]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nonsense",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-" + "0" * 600,
        "\u00e9",
    ],
)
def test_a_malformed_parent_is_none(traced: ServiceProcess, collector: Collector, given: str):
    with traced.client() as client:
        answer = client.get("/health/live", headers={"traceparent": given.encode()})
    trace_id, span_id, _ = traceresponse(answer)
    assert trace_id != "0af7651916cd43dd8448eb211c80319c"
    (server,) = collector.trace(trace_id)
    assert (server.span_id, server.parent_id) == (span_id, "")


def test_two_parents_are_none(traced: ServiceProcess, collector: Collector):
    given = [("traceparent", parent()[2]["traceparent"]) for _ in range(2)]
    with traced.client() as client:
        trace_id, *_ = traceresponse(client.get("/health/live", headers=given))
    (server,) = collector.trace(trace_id)
    assert server.parent_id == ""


def test_what_the_caller_does_not_sample_is_not_sent(traced: ServiceProcess, collector: Collector):
    with traced.client() as client:  # one connection, so that one worker gets both
        trace_id, _, headers = parent(sampled=False)
        answer = client.post("/encode", content=IMAGE, headers=headers | PNG)
        assert traceresponse(answer)[::2] == (trace_id, "00")
        later, *_ = traceresponse(client.get("/health/live"))
    collector.trace(later)
    assert trace_id not in {span.trace_id for span in collector.spans}


@pytest.mark.parametrize(
    ("path", "body", "status", "name", "problem"),
    [
        ("/decode", {"latents": [[1.0]]}, 422, "POST /decode", "invalid-field"),
        ("/decode", {**LATENT, "model": "none"}, 404, "POST /decode", "unknown-model"),
        ("/nowhere", {}, 404, "POST", "no-such-route"),
        ("/v2/models/none/infer", {}, 404, "POST /v2/models/{name}/infer", "unknown-model"),
        ("/v1/embeddings", {"input": "x"}, 400, "POST /v1/embeddings", "invalid-field"),
    ],
)
def test_a_refusal_is_no_error_of_the_server(
    traced: ServiceProcess, collector: Collector, path: str, body: Any, status: int, name: str, problem: str
):
    with traced.client() as client:
        answer = client.post(path, json=body)
    (server,) = collector.trace(traceresponse(answer)[0])
    assert (answer.status_code, server.attributes["http.response.status_code"]) == (status, status)
    assert (server.name, server.status) == (name, UNSET)
    assert server.attributes["latent.problem"] == problem
    assert "error.type" not in server.attributes


def test_a_run_that_fails_is_an_error(traced: ServiceProcess, collector: Collector):
    with traced.client() as client:
        answer = client.post("/decode", json={"latents": [[1e20, 0, 0, 0]]})
    assert answer.status_code == 500
    server, *phases = collector.trace(traceresponse(answer)[0], ["compute"])
    (compute,) = [span for span in phases if span.name == "compute"]
    for span in (server, compute):
        assert (span.status, span.attributes["error.type"]) == (ERROR, "inference-failed")


def test_what_is_said_of_a_run_is_not_said_of_the_request_that_set_it_off(traced: ServiceProcess):
    told = "a run gave numbers that are not finite"
    before = traced.log().count(told)
    with traced.client() as client:
        assert client.post("/decode", json={"latents": [[1e20, 0, 0, 0]]}).status_code == 500
    wait_until(lambda: traced.log().count(told) > before, "it is logged")
    assert [line for line in traced.log().splitlines() if told in line and "trace_id" in line] == []


@pytest.mark.parametrize("path", ["/%ff%00%ed%a0%80", "/" + "%f0%9f%98%80" * 300, "/" + "x" * 20_000])
def test_a_hostile_path_is_sent_and_short(traced: ServiceProcess, collector: Collector, path: str):
    (server,) = collector.trace(traceresponse(traced.get(path))[0])
    assert (server.name, server.attributes["http.response.status_code"]) == ("GET", 404)
    assert 1 < len(server.attributes["url.path"]) <= 256


def test_an_answer_that_is_late_is_an_error(traced: ServiceProcess, collector: Collector):
    with traced.client(headers={"x-request-timeout-s": "0.001"}) as client:
        answer = client.post("/decode", json={**LATENT, "model": "slow"})
    assert answer.status_code == 504
    server, *_ = collector.trace(traceresponse(answer)[0])
    assert (server.status, server.attributes["error.type"]) == (ERROR, "deadline-exceeded")


def test_requests_of_one_run_say_so_and_link_to_its_first(traced: ServiceProcess, collector: Collector):
    """While a slow run goes on, the next requests queue up, and share the run behind it."""
    with ThreadPoolExecutor(12) as threads, traced.client() as client:

        def run(_: int) -> Span:
            answer = client.post("/decode", json={**LATENT, "model": "slow"})
            phases = collector.trace(traceresponse(answer)[0], ["compute"])
            return next(span for span in phases if span.name == "compute")

        runs: list[Span] = []
        while not any(one.links for one in runs):
            runs = list(threads.map(run, range(24)))
    for first in [one for one in runs if not one.links]:
        same = [one for one in runs if (first.trace_id, first.span_id) in one.links]
        assert first.attributes["latent.batch.requests"] == len(same) + 1
        assert {one.attributes["latent.batch.rows"] for one in (first, *same)} == {len(same) + 1}
        assert all(len(one.links) == 1 for one in same)


def test_a_stream_is_a_span_until_its_last_line(traced: ServiceProcess, collector: Collector):
    with traced.client() as client:
        asked = {"count": 100, "seed": 1}
        answer = client.post("/generate", json=asked, headers={"accept": "application/x-ndjson"})
    assert len(answer.text.splitlines()) == 101
    server, *phases = collector.trace(traceresponse(answer)[0], ["postprocess"])
    runs = [span.attributes["latent.rows"] for span in phases if span.name == "compute"]
    assert len(runs) > 1
    assert sum(runs) == server.attributes["latent.rows"] == 100
    assert all(span.is_within(server) for span in phases)


def test_a_stream_that_fails_behind_its_first_line_says_why(traced: ServiceProcess, collector: Collector):
    lines = [json.dumps({"image": png_text}) for png_text in [b64encode(IMAGE).decode()] * 40 + ["%"]]
    with traced.client() as client:
        headers = {"content-type": "application/x-ndjson"}
        answer = client.post("/encode", content=in_two(lines), headers=headers)
    assert answer.status_code == 200
    assert json.loads(answer.text.splitlines()[-1])["error"]["code"] == "invalid-field"
    server, *_ = collector.trace(traceresponse(answer)[0])
    assert (server.attributes["http.response.status_code"], server.status) == (200, UNSET)
    assert server.attributes["latent.problem"] == "invalid-field"


def in_two(lines: list[str]) -> Iterator[bytes]:
    """Yield all lines but the last, then that one."""
    yield "\n".join([*lines[:-1], ""]).encode()
    yield lines[-1].encode()


def test_other_protocols_are_traced_alike(traced: ServiceProcess, collector: Collector):
    trace_id, _, headers = parent()
    tensor = {"name": "latents", "datatype": "FP32", "shape": [2, 4], "data": [0.0] * 8}
    with traced.client() as client:
        answer = client.post("/v2/models/tiny.decode/infer", json={"inputs": [tensor]}, headers=headers)
    assert answer.status_code == 200
    server, *phases = collector.trace(trace_id, ["compute"])
    assert server.name == "POST /v2/models/{name}/infer"
    assert (server.attributes["latent.model"], server.attributes["latent.rows"]) == ("tiny", 2)
    assert [span.name for span in phases] == ["queue", "compute"]


def test_the_log_leads_to_the_trace(traced: ServiceProcess):
    trace_id, _, headers = parent()
    with traced.client() as client:
        answer = client.post("/decode", json={"latents": [[1.0]]}, headers=headers)
    span_id = traceresponse(answer)[1]
    wait_until(lambda: trace_id in traced.log(), "it is logged")
    told = [json.loads(line) for line in traced.log().splitlines() if trace_id in line]
    assert [(one["status"], one["trace_id"], one["span_id"]) for one in told] == [(422, trace_id, span_id)]
    assert told[0]["request_id"] == answer.headers["x-request-id"]
