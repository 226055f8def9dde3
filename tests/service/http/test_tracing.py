"""The span around every request: its parent, its name, and what became of the request."""

from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, format_trace_id
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.errors import InferenceFailed
from service.http.tracing import MAX_PATH, Tracing
from service.observability import traces
from support.recorded_spans import RecordedSpans

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    scope["state"] = {"request_id": "7"}
    if scope["path"].startswith("/known"):
        scope["route"] = Route("/known/{name}", lambda _: None)
    if scope["path"].endswith("fail"):
        raise InferenceFailed
    if scope["path"].endswith("break"):
        raise KeyError
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": str(traces.recorded() is not None).encode()})


async def ask(
    path: str, method: str = "GET", headers: Any = None, *, sampled: bool = True
) -> tuple[httpx.Response | None, ReadableSpan | None]:
    """Return the answer, None if there is none, and the span of the request, None if it is not recorded."""
    spans = RecordedSpans(sampled=sampled)
    transport = httpx.ASGITransport(Tracing(app, spans.tracer))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:81") as client:
        try:
            answer = await client.request(method, path, headers=headers)
        except (InferenceFailed, KeyError):
            answer = None
    return answer, next(iter(spans.ended().values()), None)


async def test_a_span_says_what_was_asked_and_what_was_answered():
    answer, span = await ask("/known/boot?secret=1")
    assert answer is not None
    assert span is not None
    assert (span.name, span.kind) == ("GET /known/{name}", SpanKind.SERVER)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/known/boot",
        "network.protocol.version": "1.1",
        "server.address": "localhost",
        "server.port": 81,
        "http.response.status_code": 200,
        "http.route": "/known/{name}",
        traces.REQUEST_ID: "7",
    }
    assert (answer.headers["x-own"], answer.text) == ("1", "True")


async def test_it_belongs_to_its_callers_trace_and_the_answer_names_it():
    answer, span = await ask("/known/a", headers={"traceparent": PARENT})
    assert answer is not None
    assert span is not None
    assert span.context is not None
    assert span.parent is not None
    assert format_trace_id(span.context.trace_id) == PARENT.split("-")[1]
    assert span.parent.span_id == int(PARENT.split("-")[2], 16)
    assert answer.headers["traceresponse"].split("-")[1] == PARENT.split("-")[1]


@pytest.mark.parametrize(
    "headers", [[("traceparent", PARENT)] * 2, [("traceparent", "nonsense")], [("traceparent", PARENT[:-1])]]
)
async def test_a_context_that_is_not_valid_is_not_taken(headers: Any):
    _, span = await ask("/known/a", headers=headers)
    assert span is not None
    assert span.parent is None


@pytest.mark.parametrize(("end", "error"), [("fail", "inference-failed"), ("break", "KeyError")])
async def test_a_request_that_fails_says_how(end: str, error: str):
    answer, span = await ask(f"/known/{end}")
    assert answer is None
    assert span is not None
    assert (span.attributes or {})["error.type"] == error
    assert "http.response.status_code" not in (span.attributes or {})


async def test_callers_cannot_invent_names_or_fill_the_memory():
    _, span = await ask("/" + "x" * 2 * MAX_PATH, "INVENTED")
    assert span is not None
    assert span.name == "HTTP"
    attributes = span.attributes or {}
    assert (attributes["http.request.method"], len(str(attributes["url.path"]))) == ("_OTHER", MAX_PATH)
    assert "http.route" not in attributes


async def test_what_is_not_sampled_is_answered_all_the_same():
    answer, span = await ask("/known/a", sampled=False)
    assert answer is not None
    assert (answer.text, span) == ("False", None)
    assert "traceresponse" in answer.headers


async def test_other_messages_pass_through():
    seen: list[Scope] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    await Tracing(note, RecordedSpans().tracer)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]
