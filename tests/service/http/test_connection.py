"""One connection: what a client may send, and how long it may take."""

import asyncio
import math
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from service.http.connection import MAX_UNSENT_BYTES, READ_BYTES
from service.http.exchange import LINGER_S
from support.local_connection import Answer, LocalConnection, connected

HEAD_BYTES, BODY_BYTES = 1024, 1000
LIMITS: dict[str, Any] = {"max_header_bytes": HEAD_BYTES, "max_body_bytes": BODY_BYTES}
GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


def check_refusal(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def later(wire: LocalConnection, seconds: float) -> None:
    """Look at the connection as if so much time had passed."""
    wire.served.check(time.monotonic())
    wire.served.check(time.monotonic() + seconds)


async def test_a_connection_is_used_again_and_counted_to_its_end():
    async with connected() as wire:
        for _ in range(2):
            wire.send(GET)
            assert (await wire.answer()).json() == ["/x", ""]
        assert wire.count.count == 1
    assert wire.count.count == 0


@pytest.mark.parametrize("over", [0, 1])
async def test_a_head_may_have_as_many_bytes_as_the_limit(over: int):
    """Its address and its fields count, as names, values and four bytes around them."""
    rest = HEAD_BYTES - len(b"/x") - len(b"Host: h\r\n") - len(b"X-Long: \r\n")
    async with connected(**LIMITS) as wire:
        wire.send(GET[:-2], b"X-Long: ", b"a" * (rest + over), b"\r\n\r\n")
        answer = await wire.answer()
        if over:
            check_refusal(answer, 431, "headers-too-large")
            assert await wire.ended() == b""
        else:
            assert answer.status == 200


async def test_a_head_without_end_is_refused_while_it_comes():
    async with connected(**LIMITS) as wire:
        wire.send(b"GET /", b"a" * (2 * HEAD_BYTES))
        check_refusal(await wire.answer(), 431, "headers-too-large")


async def test_trailers_are_held_to_the_limit_of_a_head():
    async with connected(**LIMITS) as wire:
        wire.send(CHUNKED, b"3\r\nabc\r\n0\r\n")
        wire.send(*(b"X-%d: %s\r\n" % (i, b"a" * 100) for i in range(20)))
        check_refusal(await wire.answer(), 431, "headers-too-large")


async def test_what_is_around_the_chunks_of_a_body_is_limited_too():
    async with connected(**LIMITS) as wire:
        wire.send(CHUNKED, b"1;%s\r\na\r\n" % (b"e" * 500) * 10)
        check_refusal(await wire.answer(), 413, "body-too-large")


async def test_small_chunks_pass():
    async with connected(**LIMITS) as wire:
        wire.send(CHUNKED, b"1\r\na\r\n" * 400, b"0\r\n\r\n")
        assert (await wire.answer()).json() == ["/x", "a" * 400]


async def test_a_head_that_is_slow_to_come_is_408_and_then_the_end():
    async with connected(header_timeout_s=7) as wire:
        wire.send(GET[:-2])
        await until(lambda: wire.served.scope)
        later(wire, 6.9)
        assert wire.served.waits_since_s(time.monotonic()) <= time.monotonic()
        later(wire, 7)
        check_refusal(await wire.answer(), 408, "request-timeout")
        assert await wire.ended() == b""


async def test_a_client_that_says_nothing_is_let_go_without_a_word():
    async with connected(header_timeout_s=7) as wire:
        later(wire, 7)
        assert await wire.ended() == b""


async def test_a_connection_that_is_idle_is_closed_in_its_own_time():
    async with connected(keep_alive_timeout_s=3, header_timeout_s=1) as wire:
        wire.send(GET)
        await wire.answer()
        later(wire, 2.9)
        assert not wire.served.transport.is_closing()
        later(wire, 3)
        assert await wire.ended() == b""


async def test_work_has_the_time_it_takes():
    go = asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with connected(wait) as wire:
        wire.send(GET)
        await until(lambda: wire.served.cycle)
        assert wire.served.waits_since_s(time.monotonic()) == math.inf
        later(wire, 1e6)
        go.set()
        assert (await wire.answer()).status == 204


async def test_a_client_that_does_not_read_is_let_go():
    async def long(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(READ_BYTES), "more_body": True})
            await asyncio.sleep(0)  # what is written goes out in the next turn of the event loop

    async with connected(long, reader_timeout_s=60) as wire:
        wire.send(GET)
        await until(lambda: wire.served.unread_bytes > MAX_UNSENT_BYTES)
        later(wire, 50)
        assert not wire.served.transport.is_closing()
        later(wire, 60)
        await until(lambda: wire.count.count == 0)


async def test_a_refused_client_has_a_moment_to_read():
    async with connected() as wire:
        wire.send(b"nonsense\r\n\r\n")
        check_refusal(await wire.answer(), 400, "bad-request")
        wire.send(b"more that is not read")
        later(wire, LINGER_S - 0.1)
        assert wire.count.count == 1
        later(wire, LINGER_S)
        await until(lambda: wire.count.count == 0)


async def test_room_is_made_at_once():
    async with connected() as wire:
        wire.served.end()
        await until(lambda: wire.count.count == 0)
