"""Client and AsyncClient: what each sends again, what it raises, and how it reads a stream."""

import asyncio
import inspect
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest

from service.client import AsyncClient, Client, ServiceProblem
from service.client.image_inputs import to_base64
from support.drawn_images import draw_each

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)


class Busy(BaseHTTPRequestHandler):
    """A server that is busy a few times before it answers, and counts its connections."""

    protocol_version = "HTTP/1.1"
    refusals: ClassVar[list[tuple[int, str | None]]] = []
    times_s: ClassVar[list[float]] = []
    connections: ClassVar[set[tuple[str, int]]] = set()
    authorization: ClassVar[str | None] = None
    lines = b""
    problem = b""
    """What the service itself says; else it is a proxy that refuses."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(self.lines)

    def do_GET(self) -> None:
        type(self).authorization = self.headers["authorization"]
        self.answer(b'{"models": []}')

    def answer(self, content: bytes) -> None:
        self.times_s.append(time.monotonic())
        self.connections.add(self.client_address)
        status, after = self.refusals.pop(0) if self.refusals else (200, None)
        content = content if status == 200 else self.problem or b"<html>busy</html>"
        self.send_response(status)
        self.send_header("Content-Type", "application/problem+json" if self.problem else "text/html")
        if after is not None:
            self.send_header("Retry-After", after)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def busy() -> Iterator[str]:
    Busy.refusals, Busy.times_s, Busy.connections, Busy.problem = [], [], set(), b""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def list_models(flavour: str, url: str, **options: Any) -> Any:
    if flavour == "Client":
        with Client(url, **options) as client:
            return client.models()

    async def run() -> Any:
        async with AsyncClient(url, **options) as client:
            return await client.models()

    return asyncio.run(run())


@pytest.mark.parametrize("flavour", ["Client", "AsyncClient"])
class TestBusy:
    def test_it_comes_again_when_it_is_told_to(self, flavour: str, busy: str):
        Busy.refusals[:] = [(429, "1"), (503, None), (503, "0")]
        assert list_models(flavour, busy) == []
        assert len(Busy.times_s) == 4
        assert len(Busy.connections) == 1
        first, second, third, fourth = Busy.times_s
        assert 1 <= second - first < 2
        assert third - second >= 0.1
        assert fourth - third < 0.5

    def test_not_for_longer_than_it_is_worth(self, flavour: str, busy: str):
        Busy.refusals[:] = [(503, "3600")]
        with pytest.raises(ServiceProblem, match="503 http-503") as raised:
            list_models(flavour, busy, retry_s=2)
        assert raised.value.errors == []
        assert len(Busy.times_s) == 1

    def test_it_comes_again_where_a_proxy_lost_the_answer(self, flavour: str, busy: str):
        Busy.refusals[:] = [(500, "0"), (502, "0"), (504, "0")]
        assert list_models(flavour, busy) == []
        assert len(Busy.times_s) == 4

    @pytest.mark.parametrize("status", [500, 504])
    def test_what_the_service_itself_says_is_final(self, flavour: str, busy: str, status: int):
        members = {"status": status, "code": "said", "title": "", "detail": "", "request_id": "7"}
        Busy.problem = json.dumps(members).encode()
        Busy.refusals[:] = [(status, "0")]
        with pytest.raises(ServiceProblem, match=f"{status} said"):
            list_models(flavour, busy)
        assert len(Busy.times_s) == 1

    def test_other_refusals_are_final(self, flavour: str, busy: str):
        Busy.refusals[:] = [(400, "0")]
        with pytest.raises(ServiceProblem, match="400"):
            list_models(flavour, busy)
        assert len(Busy.times_s) == 1


@pytest.mark.parametrize("flavour", ["Client", "AsyncClient"])
class TestStream:
    def test_images_come_line_by_line(self, flavour: str, busy: str):
        lines = [{"index": i, "image": to_base64(PIXELS), "seed": 7 + i} for i in range(2)]
        Busy.lines = b"".join(json.dumps(one).encode() + b"\n" for one in [*lines, {"done": {"count": 2}}])
        found = draw_each(flavour, busy, 2)
        assert [one.seed for one in found] == [7, 8]
        assert np.array_equal(found[0].image, PIXELS)

    def test_a_refusal_before_the_first_line_is_raised(self, flavour: str, busy: str):
        Busy.refusals[:] = [(400, None)]
        with pytest.raises(ServiceProblem, match="400"):
            draw_each(flavour, busy, 3)

    def test_a_problem_in_the_last_line_is_raised(self, flavour: str, busy: str):
        problem = {"status": 504, "code": "deadline-exceeded", "title": "", "detail": "", "request_id": "7"}
        Busy.lines = json.dumps({"error": problem}).encode()
        with pytest.raises(ServiceProblem, match="504 deadline-exceeded") as raised:
            draw_each(flavour, busy, 3)
        assert raised.value.request_id == "7"

    def test_an_end_without_a_last_line_is_noticed(self, flavour: str, busy: str):
        Busy.lines = b""
        with pytest.raises(httpx.TransportError, match="last line"):
            draw_each(flavour, busy, 3)

    def test_it_comes_again_when_it_is_told_to(self, flavour: str, busy: str):
        Busy.lines = b'{"done": {"count": 0}}'
        Busy.refusals[:] = [(429, "0"), (503, "0")]
        assert draw_each(flavour, busy, 3) == []
        assert len(Busy.times_s) == 3
        assert len(Busy.connections) == 1


def test_a_key_is_sent(busy: str):
    with Client(busy, api_key="good-key") as client:
        client.models()
    assert Busy.authorization == "Bearer good-key"
    with Client(busy) as client:
        client.models()
    assert Busy.authorization is None


def test_both_clients_have_the_same_methods():
    def public(kind: type) -> dict[str, str]:
        names = [name for name in vars(kind) if not name.startswith("_")]
        return {name: str(inspect.signature(getattr(kind, name))) for name in names}

    assert public(Client) == public(AsyncClient)
    assert len(public(Client)) == 11


def test_no_service_is_a_transport_error(unused_port: int):
    with Client(f"http://127.0.0.1:{unused_port}") as client, pytest.raises(httpx.TransportError):
        client.models()


@pytest.fixture
def unused_port() -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    server.server_close()
    return int(server.server_address[1])
