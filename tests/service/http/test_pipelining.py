"""Requests that follow one another on a connection: each in its turn, each answered once."""

import asyncio
import json

import pytest
from starlette.types import Receive, Scope, Send

from service.http.exchange import HeldBytes
from support.local_connection import connected

HEAD = b" HTTP/1.1\r\nHost: h\r\n"


def get(path: str) -> bytes:
    return b"GET " + path.encode() + HEAD + b"\r\n"


def post(path: str, body: bytes, fields: bytes = b"") -> bytes:
    return b"POST " + path.encode() + HEAD + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Gate:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        await self.open.wait()
        content = json.dumps(scope["path"]).encode()
        headers = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def test_answers_come_in_the_order_of_their_requests():
    requests = [post(f"/{i}", b"x" * i) if i % 2 else get(f"/{i}") for i in range(20)]
    async with connected() as wire:
        wire.send(*requests)
        found = [(await wire.answer()).json() for _ in requests]
    assert found == [[f"/{i}", "x" * i * (i % 2)] for i in range(20)]


async def test_a_body_in_chunks_ends_where_the_next_request_begins():
    chunked = b"POST /a" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with connected() as wire:
        wire.send(chunked, get("/b"))
        assert [(await wire.answer()).json() for _ in range(2)] == [["/a", "abc"], ["/b", ""]]


async def test_what_waits_is_counted_until_its_turn():
    gate, held = Gate(), HeldBytes(1000)
    async with connected(gate, held) as wire:
        wire.send(get("/a"), get("/b"), get("/c"))
        async with asyncio.timeout(30):
            while not gate.begun or held.hold(1000):
                held.release(1000 if gate.begun else 0)
                await asyncio.sleep(0.001)
        assert gate.begun == 1
        waiting = len(get("/b")) + len(get("/c"))
        assert held.hold(1000 - waiting)
        assert not held.hold(1)
        held.release(1000 - waiting)
        gate.open.set()
        assert [(await wire.answer()).json() for _ in range(3)] == ["/a", "/b", "/c"]
    assert held.hold(1000)


async def test_without_room_to_wait_the_connection_closes_after_the_answer():
    gate = Gate()
    async with connected(gate, HeldBytes(10)) as wire:
        wire.send(get("/a"), get("/b"))
        gate.open.set()
        answer = await wire.answer()
        assert (answer.json(), answer.headers["connection"]) == ("/a", "close")
        assert await wire.ended() == b""
    assert gate.begun == 1


async def test_what_waited_for_a_client_that_left_is_let_go_of():
    gate, held = Gate(), HeldBytes(1000)
    async with connected(gate, held) as wire:
        wire.send(get("/a"), get("/b"))
        async with asyncio.timeout(30):
            while not gate.begun:
                await asyncio.sleep(0.001)
    assert held.hold(1000)
    gate.open.set()


async def test_nonsense_after_a_request_costs_it_nothing():
    async with connected() as wire:
        wire.send(get("/a"), b"nonsense\r\n\r\n")
        assert (await wire.answer()).json() == ["/a", ""]
        refusal = await wire.answer()
        assert (refusal.status, refusal.json()["code"]) == (400, "bad-request")
        assert await wire.ended() == b""


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "A request needs one Host header."),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "A request needs one Host header."),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "may be chunked"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", None),
        (b"\x16\x03\x01\x02\x00\x01\x00", None),
    ],
)
async def test_what_others_could_read_differently_is_refused(head: bytes, reason: str | None):
    async with connected() as wire:
        wire.send(head)
        answer = await wire.answer()
        assert (answer.status, answer.json()["code"]) == (400, "bad-request")
        assert (reason or "") in answer.json()["detail"]
        assert await wire.ended() == b""


async def test_http_1_0_needs_no_host_and_closes():
    async with connected() as wire:
        wire.send(b"GET /a HTTP/1.0\r\n\r\n")
        assert (await wire.answer()).json() == ["/a", ""]
        assert await wire.ended() == b""


async def test_an_offer_to_upgrade_is_passed_over_with_its_body_read():
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    async with connected() as wire:
        wire.send(post("/a", b"abc", offer), get("/b"))
        assert [(await wire.answer()).json() for _ in range(2)] == [["/a", "abc"], ["/b", ""]]


@pytest.mark.parametrize("target", [b"/a", b"h:80"])
async def test_what_follows_a_connect_is_not_http(target: bytes):
    async with connected() as wire:
        wire.send(b"CONNECT ", target, HEAD, b"\r\n", get("/b"))
        assert (await wire.answer()).status == (200 if target == b"/a" else 400)
        assert await wire.ended() == b""
