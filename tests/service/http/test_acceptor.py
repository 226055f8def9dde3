"""Taking connections from a socket: as many as there is room for, and as is fair among workers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from service.coordination.connection_counts import ConnectionCounts
from service.http.acceptor import FULL_S, Acceptor
from service.http.connection_limits import Connections
from service.http.listener import listen
from support.local_connection import DEADLINE_S, LocalConnection, report

GET = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


class Site:
    """A listening socket, and one of two workers that take connections from it."""

    def __init__(self, most: int, app: ASGIApp) -> None:
        self.counts = ConnectionCounts(2)
        self.own, self.other = (self.counts.worker(i) for i in range(2))
        self.own.join()
        self.listener = listen("127.0.0.1", 0)
        self.address = self.listener.getsockname()
        made = LocalConnection(app, None)
        made.count = self.own
        held = made.served.connections
        limits = Connections(held, self.own, most=most, max_unread_bytes=1 << 30)
        self.acceptor = Acceptor(self.listener, self.own, limits, made.protocol)

    async def ask(self) -> bytes:
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(GET)
        async with asyncio.timeout(DEADLINE_S):
            found = await reader.read()
        writer.close()
        return found


@asynccontextmanager
async def site(most: int = 100, app: ASGIApp = report) -> AsyncIterator[Site]:
    made = Site(most, app)
    try:
        yield made
    finally:
        made.acceptor.close()
        await made.acceptor.wait_closed()


async def until_taken(one: Site, count: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while one.own.count != count:
            await asyncio.sleep(0.001)


async def test_a_burst_is_answered_and_counted_down_again():
    async with site() as one:
        found = await asyncio.gather(*(one.ask() for _ in range(200)))
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in found)
        await until_taken(one, 0)


async def test_no_more_are_taken_than_there_is_room_for():
    """Where all are being worked on: one that waits for its client would be let go of for the next."""
    begun, go = 0, asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal begun
        begun += 1
        await go.wait()
        await report(scope, receive, send)

    async with site(most=2, app=wait) as one:
        asking = [asyncio.create_task(one.ask()) for _ in range(4)]
        async with asyncio.timeout(DEADLINE_S):
            while begun < 2:
                await asyncio.sleep(0.001)
        await asyncio.sleep(3 * FULL_S)
        assert (begun, one.own.count) == (2, 2)
        go.set()
        found = await asyncio.gather(*asking)
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in found)


async def test_one_that_holds_more_gives_way_and_takes_it_if_nobody_else_does():
    async with site() as one:
        one.other.join()
        assert (await asyncio.gather(*(one.ask() for _ in range(5))))[0].startswith(b"HTTP/1.1 200")


async def test_a_closed_one_takes_no_more_and_lets_those_it_has_finish():
    async with site() as one:
        reader, writer = await asyncio.open_connection(*one.address)
        await until_taken(one, 1)
        one.acceptor.close()
        one.acceptor.close()
        await one.acceptor.wait_closed()
        writer.write(GET)
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*one.address)
