"""What is reported of every request: its id, a line in the log, a count."""

import json
import logging
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.types import Receive, Scope, Send

from service.http.access_log import AccessLog
from service.http.open_requests import Drain

LOGGER = "service.http.access_log"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the request id, unless the path says otherwise."""
    if scope["path"] == "/fail":
        raise KeyError
    if scope["path"] == "/leave":
        return
    content = json.dumps(scope["state"]["request_id"]).encode()
    status = 404 if scope["path"] == "/lost" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": content})


def client(share: float = 0, drain: Drain | None = None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(AccessLog(app, drain or Drain(), share))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def counted(status: int, method: str = "GET", route: str = "unknown") -> float:
    labels = {"route": route, "method": method, "status": str(status)}
    return REGISTRY.get_sample_value("latent_requests_total", labels) or 0


async def test_ids_are_made_and_never_come_twice():
    async with client() as asked, client() as other:
        ids = [(await one.get("/")).json() for one in (asked, asked, other)]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)
    assert ids[0][:8] == ids[1][:8] != ids[2][:8]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a", True),
        ("Root=1-67891233-abcdef", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("a b", False),
        ("", False),
    ],
)
async def test_a_callers_id_is_kept_if_it_is_sane(given: str, kept: bool):
    async with client() as asked:
        answer = await asked.get("/", headers={"x-request-id": given})
    assert (answer.json() == given) is kept
    assert answer.headers["x-request-id"] == answer.json()
    assert answer.headers["x-own"] == "1"


@pytest.mark.parametrize(("share", "shown"), [(0, False), (1, True)])
async def test_a_share_of_what_went_well_is_logged(
    caplog: pytest.LogCaptureFixture, share: float, shown: bool
):
    with caplog.at_level(logging.INFO, LOGGER):
        async with client(share) as asked:
            await asked.get("/", headers={"x-request-id": "fine"})
    assert ("fine GET unknown 200" in caplog.text) is shown


async def test_every_refusal_is_logged_with_its_fields(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, LOGGER):
        async with client() as asked:
            await asked.post("/lost", headers={"x-request-id": "lost"})
    (record,) = caplog.records
    fields: dict[str, Any] = record.request  # type: ignore[attr-defined]
    assert fields.pop("milliseconds") >= 0
    expected = {"request_id": "lost", "method": "POST", "route": "unknown", "status": 404}
    assert fields == expected
    assert re.fullmatch(r"lost POST unknown 404 \d+\.\d ms", record.getMessage())


async def test_nothing_is_made_of_a_line_that_nobody_reads(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG, LOGGER):
        async with client() as asked:
            await asked.get("/")
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


@pytest.mark.parametrize(
    ("ask", "status", "method"),
    [
        (lambda asked: asked.get("/"), 200, "GET"),
        (lambda asked: asked.request("INVENTED", "/lost"), 404, "other"),
    ],
)
async def test_requests_are_counted_by_what_a_caller_cannot_invent(
    ask: Callable[[httpx.AsyncClient], Any], status: int, method: str
):
    before = counted(status, method)
    async with client() as asked:
        await ask(asked)
    assert counted(status, method) == before + 1


@pytest.mark.parametrize("path", ["/fail", "/leave"])
async def test_a_request_without_an_answer_is_counted_as_one_whose_client_left(path: str):
    before = counted(499)
    async with client() as asked:
        with pytest.raises((KeyError, AssertionError)):
            await asked.get(path)
    assert counted(499) == before + 1


async def test_connections_close_after_answers_while_draining():
    drain = Drain()
    async with client(drain=drain) as asked:
        assert "connection" not in (await asked.get("/")).headers
        drain.begin()
        assert (await asked.get("/")).headers["connection"] == "close"


async def test_other_messages_pass_through():
    seen: list[Scope] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    await AccessLog(note, Drain(), 0)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]
