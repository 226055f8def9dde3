"""All connections of one event loop: who is let go of when there is no room, or too much is unread."""

import asyncio
import time
from contextlib import AsyncExitStack

from starlette.types import Receive, Scope, Send

from service.coordination.connection_counts import ConnectionCounts
from service.http.connection_limits import SPARE_AFTER_S, Connections
from support.local_connection import LocalConnection, connected

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


def limits(*held: LocalConnection, most: int = 10, max_unread_bytes: int = 1 << 30) -> Connections:
    count = ConnectionCounts(1).worker(0)
    count.join()
    for _ in held:
        count.opened()
    served = [one.served for one in held]
    return Connections(served, count, most=most, max_unread_bytes=max_unread_bytes)


async def ended(wire: LocalConnection) -> None:
    async with asyncio.timeout(30):
        while wire.count.count:
            await asyncio.sleep(0.001)


async def test_there_is_room_up_to_the_limit():
    async with connected() as one, connected() as other:
        assert limits(one, other, most=5).room() == 3
        assert limits(one, other, most=2).room() == 0


async def test_without_room_the_one_that_waited_longest_is_let_go_of():
    async with connected() as old, connected() as new:
        async with asyncio.timeout(30):
            while new.served._since_s + SPARE_AFTER_S > time.monotonic():
                await asyncio.sleep(0.01)
        new.send(GET)
        await new.answer()
        assert limits(old, new, most=2).room() == 1
        await ended(old)
        new.send(GET)
        assert (await new.answer()).status == 200


async def test_those_whose_clients_leave_most_unread_are_let_go_of_first():
    async def send_much(scope: Scope, receive: Receive, send: Send) -> None:
        size = int(scope["path"][1:]) << 20
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(size)})

    async with AsyncExitStack() as stack:
        small, large, idle = [await stack.enter_async_context(connected(send_much)) for _ in range(3)]
        small.send(b"GET /16", GET[6:])
        large.send(b"GET /32", GET[6:])
        async with asyncio.timeout(30):
            while not (small.served.unread_bytes and large.served.unread_bytes):
                await asyncio.sleep(0.001)
        limits(small, large, idle, max_unread_bytes=small.served.unread_bytes).check()
        await ended(large)
        assert (small.count.count, idle.count.count) == (1, 1)


async def test_each_is_held_to_its_own_times():
    async with connected(header_timeout_s=0.01) as slow, connected() as other:
        async with asyncio.timeout(30):
            while slow.count.count:
                limits(slow, other).check()
                await asyncio.sleep(0.001)
        assert other.count.count == 1
