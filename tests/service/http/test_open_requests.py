"""All open requests, which one timer looks after; and the switch of a process on its way out."""

import asyncio
import time

import pytest
from starlette.types import Message

from service.errors import DeadlineExceeded
from service.http.exchange import Exchange, HeldBytes
from service.http.open_requests import CHECK_EVERY_S, Drain, OpenRequests


async def nothing() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def nowhere(_: Message) -> None:
    raise AssertionError


def exchange() -> Exchange:
    return Exchange(nothing, nowhere, 100, HeldBytes(100))


async def work(requests: OpenRequests, one: Exchange) -> None:
    requests.begin(one)
    try:
        await asyncio.Event().wait()
    finally:
        requests.end(one)


async def test_each_is_cut_off_at_its_own_deadline():
    requests, late, patient = OpenRequests(), exchange(), exchange()
    late.deadline_s = time.monotonic() + 2 * CHECK_EVERY_S
    tasks = [asyncio.create_task(work(requests, one)) for one in (late, patient)]
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
    assert time.monotonic() >= late.deadline_s
    assert isinstance(late.error, DeadlineExceeded)
    assert not tasks[1].done()
    tasks[1].cancel()


async def test_all_can_be_hurried():
    requests, open_ones = OpenRequests(), [exchange() for _ in range(3)]
    tasks = [asyncio.create_task(work(requests, one)) for one in open_ones]
    await asyncio.sleep(0)
    requests.hurry(time.monotonic())
    async with asyncio.timeout(30):
        found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in found] == [asyncio.CancelledError] * 3


async def test_an_ended_one_is_looked_after_no_more():
    requests, one = OpenRequests(), exchange()
    requests.begin(one)
    requests.end(one)
    one.deadline_s = 0
    async with asyncio.timeout(30):
        await asyncio.sleep(3 * CHECK_EVERY_S)
    assert one.error is None
    requests.begin(other := exchange())  # the timer begins again
    other.deadline_s = 0
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(30):
            await asyncio.Event().wait()
    requests.end(other)
    assert isinstance(other.error, DeadlineExceeded)


def test_a_drain_goes_one_way():
    drain = Drain()
    assert not drain.active
    for _ in range(2):
        drain.begin()
        assert drain.active
