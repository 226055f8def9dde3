"""Middleware: request id, deadline, body limit and vanished clients, around a small real application."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from service.http.access_log import AccessLog
from service.http.api_keys import Keys
from service.http.exchange import HeldBytes
from service.http.open_requests import Drain, OpenRequests
from service.http.request_limits import RequestLimits
from service.settings import Settings

LIMIT = 1000


class Site:
    """An application behind the middleware, and what its routes saw."""

    def __init__(self, **settings: Any) -> None:
        self.drain = Drain()
        self.ended: list[str] = []
        chosen = Settings(max_body_bytes=LIMIT, **settings)
        self.app = Starlette(
            routes=[
                Route("/state", self.state),
                Route("/size", self.size, methods=["POST"]),
                Route("/swallow", self.swallow, methods=["POST"]),
                Route("/slow", self.slow, methods=["GET", "POST"]),
                Route("/stream", self.stream),
                Route("/fail/{name}", self.fail),
            ],
            middleware=[
                Middleware(AccessLog, drain=self.drain, log_requests_share=0.0),
                Middleware(
                    RequestLimits,
                    settings=chosen,
                    keys=Keys(chosen),
                    open_requests=OpenRequests(),
                    held=HeldBytes(chosen.max_held_bytes),
                ),
            ],
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False), base_url="http://localhost"
        )

    async def state(self, request: Request) -> Response:
        remaining_s = request.state.exchange.deadline_s - asyncio.get_running_loop().time()
        return JSONResponse({"request_id": request.state.request_id, "remaining_s": remaining_s})

    async def size(self, request: Request) -> Response:
        return JSONResponse(len(await request.body()))

    async def swallow(self, request: Request) -> Response:
        """Hide what goes wrong with the body, as frameworks do that turn any error into a 400."""
        try:
            return JSONResponse(len(await request.body()))
        except Exception:  # noqa: BLE001
            return JSONResponse("hidden", 400)

    async def slow(self, request: Request) -> Response:
        await request.body()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        return Response("too late")

    async def stream(self, _: Request) -> Response:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"more"
                await asyncio.sleep(0.001)

        return StreamingResponse(endless())

    async def fail(self, request: Request) -> Response:
        raise RuntimeError(f"secret of {request.path_params['name']}")


def counted(route: str, status: int, method: str = "GET") -> float:
    labels = {"route": route, "method": method, "status": str(status)}
    return REGISTRY.get_sample_value("latent_requests_total", labels) or 0


def check_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_request_id_is_made_and_echoed():
    site = Site()
    answers = [await site.client.get("/state") for _ in range(2)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert ids == [answer.json()["request_id"] for answer in answers]
    assert all(re.fullmatch("[0-9a-f]{16}", request_id) for request_id in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize("given", ["a", "3f2c-11", "Root=1-67891233-abcdef", "x" * 128])
async def test_sane_request_id_is_kept(given: str):
    answer = await Site().client.get("/state", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", "<script>", 'quote"', "\u00e9"])
async def test_odd_request_id_is_replaced(given: str):
    answer = await Site().client.get("/state", headers={"X-Request-ID": given.encode()})
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


async def test_unforeseen_failure_is_a_problem_that_says_nothing(caplog: pytest.LogCaptureFixture):
    site = Site()
    before = counted("/fail/{name}", 500)
    answer = await site.client.get("/fail/someone")
    check_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in caplog.text
    assert "secret of someone" in caplog.text
    assert counted("/fail/{name}", 500) == before + 1


async def test_refusal_is_logged_with_its_id_and_success_is_not(caplog: pytest.LogCaptureFixture):
    site = Site()
    with caplog.at_level(logging.INFO, "service.http.access_log"):
        await site.client.get("/state", headers={"X-Request-ID": "fine"})
        await site.client.get("/nowhere", headers={"X-Request-ID": "lost"})
    assert "fine" not in caplog.text
    assert re.search(r"lost GET unknown 404 \d+\.\d ms", caplog.text)


async def test_callers_cannot_invent_metric_labels():
    site = Site()
    before = counted("unknown", 404), counted("unknown", 404, "other")
    await site.client.get("/nowhere/1")
    await site.client.request("INVENTED", "/nowhere/2")
    assert (counted("unknown", 404), counted("unknown", 404, "other")) == (before[0] + 1, before[1] + 1)


async def test_connections_close_behind_answers_while_draining():
    site = Site()
    assert "connection" not in (await site.client.get("/state")).headers
    site.drain.begin()
    answer = await site.client.get("/state")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


async def in_chunks(size: int, chunk: int = 300) -> AsyncIterator[bytes]:
    for start in range(0, size, chunk):
        yield b"x" * min(chunk, size - start)


@pytest.mark.parametrize("path", ["/size", "/swallow"])
@pytest.mark.parametrize("size", [0, LIMIT - 1, LIMIT])
async def test_body_up_to_the_limit_passes(path: str, size: int):
    site = Site()
    assert (await site.client.post(path, content=b"x" * size)).json() == size
    assert (await site.client.post(path, content=in_chunks(size))).json() == size


@pytest.mark.parametrize("path", ["/size", "/swallow"])
async def test_body_one_byte_over_the_limit_is_413(path: str):
    site = Site()
    check_problem(await site.client.post(path, content=b"x" * (LIMIT + 1)), 413, "body-too-large")
    check_problem(await site.client.post(path, content=in_chunks(LIMIT + 1)), 413, "body-too-large")


async def test_body_is_measured_whatever_its_length_says():
    answer = await Site().client.post("/size", content=in_chunks(LIMIT + 1), headers={"Content-Length": "10"})
    check_problem(answer, 413, "body-too-large")


async def test_refused_body_closes_the_connection():
    answer = await Site().client.post("/size", content=b"x" * (LIMIT + 1))
    assert answer.headers["connection"] == "close"


async def test_endless_body_is_refused_and_not_read_for_ever():
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100
            await asyncio.sleep(0)

    async with asyncio.timeout(5):
        check_problem(await Site().client.post("/size", content=endless()), 413, "body-too-large")


async def test_deadline_is_the_settings():
    answer = await Site(request_timeout_s=7).client.get("/state")
    assert 6.5 < answer.json()["remaining_s"] <= 7


@pytest.mark.parametrize(
    ("given", "expected_s"), [("3", 3), ("2.5", 2.5), ("1e0", 1), ("100", 7), ("1e300", 7)]
)
async def test_header_shortens_the_deadline_but_never_lengthens_it(given: str, expected_s: float):
    answer = await Site(request_timeout_s=7).client.get("/state", headers={"X-Request-Timeout-S": given})
    assert expected_s - 0.5 < answer.json()["remaining_s"] <= expected_s


@pytest.mark.parametrize("given", ["", "0", "-1", "nan", "inf", "soon", "1;2"])
async def test_timeout_that_is_no_positive_number_is_422(given: str):
    answer = await Site().client.get("/state", headers={"X-Request-Timeout-S": given})
    check_problem(answer, 422, "invalid-field")
    assert answer.json()["errors"][0]["loc"] == ["header", "x-request-timeout-s"]


async def test_answer_that_is_late_is_504_at_the_deadline():
    site = Site()
    async with asyncio.timeout(2):
        answer = await site.client.post("/slow", headers={"X-Request-Timeout-S": "0.05"})
    check_problem(answer, 504, "deadline-exceeded")
    assert site.ended == ["cancelled"]


async def test_body_that_never_ends_is_504_at_the_deadline():
    async def stalled() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    scope = http_scope("POST", "/size", [(b"x-request-timeout-s", b"0.05")])
    sent = await answered(Connection(Site()), scope)
    assert sent[0]["status"] == 504


async def test_body_that_never_ends_is_408_in_its_own_time():
    connection = Connection(Site(body_timeout_s=0.05))
    sent = await answered(connection, http_scope("POST", "/size"))
    assert sent[0]["status"] == 408


async def test_work_may_take_longer_than_a_body():
    connection = Connection(Site(body_timeout_s=0.05, request_timeout_s=0.2))
    sent = await connection.run(http_scope("POST", "/slow"), [b"x"])
    assert sent[0]["status"] == 504


async def test_body_that_announces_too_much_is_refused_before_it_is_read():
    scope = http_scope("POST", "/size", [(b"content-length", str(LIMIT + 1).encode())])
    connection = Connection(Site())
    running = asyncio.create_task(connection.run(scope, [], finish_body=False))
    async with asyncio.timeout(1):
        while len(connection.sent) < 2:
            await asyncio.sleep(0.001)
    assert connection.sent[0]["status"] == 413
    connection.hung_up.set()
    await running


class Connection:
    """A server's side of one request, to hang up on it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.hung_up = asyncio.Event()
        self.sent: list[Any] = []

    async def run(self, scope: Any, body: list[bytes], *, finish_body: bool = True) -> list[Any]:
        pieces = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]
        if finish_body:
            pieces.append({"type": "http.request", "body": b"", "more_body": False})

        async def receive() -> Any:
            if pieces:
                return pieces.pop(0)
            await self.hung_up.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.sent.append(message)

        async with asyncio.timeout(5):
            await self.site.app(scope, receive, send)
        return self.sent


async def answered(connection: Connection, scope: Any) -> list[Any]:
    """Send a body that does not end, and hang up once the answer is there."""
    running = asyncio.create_task(connection.run(scope, [b"x"], finish_body=False))
    async with asyncio.timeout(5):
        while len(connection.sent) < 2:
            await asyncio.sleep(0.001)
    connection.hung_up.set()
    return await running


def http_scope(method: str, path: str, headers: list[tuple[bytes, bytes]] | None = None) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "headers": headers or [],
        "query_string": b"",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip


async def test_work_ends_when_its_client_hangs_up():
    site = Site()
    before = counted("/slow", 499, "POST")
    connection = Connection(site)
    running = asyncio.create_task(connection.run(http_scope("POST", "/slow"), [b"x"]))
    asyncio.get_running_loop().call_later(0.05, connection.hung_up.set)
    assert await running == []
    assert site.ended == ["cancelled"]
    assert counted("/slow", 499, "POST") == before + 1


async def test_client_that_hangs_up_in_its_body_is_no_failure(caplog: pytest.LogCaptureFixture):
    connection = Connection(Site())
    connection.hung_up.set()
    assert await connection.run(http_scope("POST", "/size"), [b"x"], finish_body=False) == []
    assert "Traceback" not in caplog.text


async def test_answer_that_has_begun_is_cut_off_at_the_deadline():
    connection = Connection(Site())
    scope = http_scope("GET", "/stream", [(b"x-request-timeout-s", b"0.05")])
    with pytest.raises(Exception, match="within the time"):
        await connection.run(scope, [])
    assert connection.sent[0]["status"] == 200
    assert connection.sent[-1]["more_body"]


async def test_nothing_is_left_behind_by_a_thousand_requests():
    site = Site()
    await asyncio.gather(*(site.client.post("/size", content=b"x" * 10) for _ in range(1000)))
    assert len(asyncio.all_tasks()) == 1
