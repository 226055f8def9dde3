"""One request and its answer: counted, cut off at its time, refused once."""

import asyncio
import json
import time
from typing import Any

import pytest
from starlette.types import Message, Scope

from service.errors import BodyTooLarge, DeadlineExceeded, InferenceFailed, QueueFull, RequestTimeout
from service.http.exchange import SHORT_BODY_BYTES, WATCH_AFTER_S, Exchange, HeldBytes

LIMIT = 100


class Wire:
    """A server's side of one exchange: pieces of a body that come, and what was sent."""

    def __init__(self, *pieces: bytes, ends: bool = True, max_held_bytes: int = 1000) -> None:
        self.pieces = list(pieces)
        self.ends = ends
        self.hung_up = asyncio.Event()
        self.sent: list[Message] = []
        self.held = HeldBytes(max_held_bytes)
        self.exchange = Exchange(self.receive, self.send, LIMIT, self.held)

    async def receive(self) -> Message:
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or not self.ends}
        await self.hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.sent)


def scope(**headers: str) -> Scope:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "path": "/x", "headers": given, "state": {"request_id": "7"}}


def start(status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": []}


def test_held_bytes_are_counted_up_to_the_limit():
    held = HeldBytes(10)
    assert held.hold(4)
    assert held.hold(6)
    assert not held.hold(1)
    held.release(4)
    assert not held.hold(5)
    assert held.hold(4)


async def test_a_body_up_to_the_limit_passes_and_is_let_go_of_at_the_end():
    wire = Wire(b"x" * 60, b"x" * 40, max_held_bytes=LIMIT)
    assert [(await wire.exchange.receive())["body"] for _ in range(2)] == [b"x" * 60, b"x" * 40]
    assert (wire.exchange.held_bytes, wire.held.hold(1)) == (LIMIT, False)
    wire.exchange.end()
    assert wire.held.hold(LIMIT)


async def test_one_byte_over_the_limit_is_refused_even_if_the_application_swallows_it():
    wire = Wire(b"x" * 60, b"x" * 41)
    await wire.exchange.receive()
    with pytest.raises(BodyTooLarge, match="100 bytes"):
        await wire.exchange.receive()
    await wire.exchange.send(start())
    assert wire.sent == []
    assert isinstance(wire.exchange.error, BodyTooLarge)


async def test_all_bodies_together_have_a_limit_of_their_own():
    wire = Wire(b"x" * 60, max_held_bytes=59)
    with pytest.raises(QueueFull) as refusal:
        await wire.exchange.receive()
    assert refusal.value.headers == {"Retry-After": "1"}
    assert wire.exchange.held_bytes == 0


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"content_length": "100"}, False),
        ({"content_length": "101"}, True),
        ({"content_length": "101", "content_type": "application/x-ndjson"}, False),
        ({"content_length": "9" * 5000}, True),
        ({"content_length": "x"}, False),
        ({}, False),
    ],
)
async def test_a_body_is_refused_by_the_length_it_announces(headers: dict[str, str], refused: bool):
    exchange = Wire().exchange
    if refused:
        with pytest.raises(BodyTooLarge):
            exchange.check_announced(scope(**headers))
    else:
        exchange.check_announced(scope(**headers))


async def begun(wire: Wire, work: Any) -> asyncio.Task[Any]:
    async def run() -> Any:
        wire.exchange.begin(asyncio.current_task())
        return await work()

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    return task


async def test_work_is_cut_off_at_its_deadline():
    wire = Wire(b"x")
    task = await begun(wire, asyncio.Event().wait)
    wire.exchange.deadline_s = time.monotonic() + 60
    wire.exchange.check(time.monotonic())
    assert wire.exchange.error is None
    wire.exchange.check(time.monotonic() + 60)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(wire.exchange.error, DeadlineExceeded)
    wire.exchange.end()


async def test_a_body_has_a_time_of_its_own_while_it_is_waited_for():
    wire = Wire(b"x", ends=False)
    wire.exchange.body_deadline_s = time.monotonic() - 1
    task = await begun(wire, asyncio.Event().wait)
    wire.exchange.check(time.monotonic())
    assert not wire.exchange.was_cancelled
    task.cancel()
    reading = await begun(wire, lambda: read_all(wire.exchange))
    wire.exchange.check(time.monotonic())
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert isinstance(wire.exchange.error, RequestTimeout)


async def read_all(exchange: Exchange) -> None:
    while (await exchange.receive())["more_body"]:
        pass


async def test_work_ends_when_its_client_hangs_up():
    wire = Wire(b"x")

    async def work() -> None:
        await read_all(wire.exchange)
        await asyncio.Event().wait()

    task = await begun(wire, work)
    wire.exchange.check(time.monotonic())
    wire.exchange.check(time.monotonic() + WATCH_AFTER_S)
    wire.hung_up.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wire.exchange.client_disconnected
    assert wire.exchange.error is None


async def test_the_end_can_be_brought_forward_and_not_put_off():
    exchange = Wire().exchange
    exchange.hurry(5.0)
    exchange.hurry(7.0)
    assert exchange.deadline_s == 5.0


async def test_a_refusal_after_the_body_leaves_the_connection_open():
    wire = Wire(b"x")
    await read_all(wire.exchange)
    await wire.exchange.refuse(InferenceFailed(), scope())
    assert (wire.sent[0]["status"], json.loads(wire.body)["code"]) == (500, "inference-failed")
    assert b"connection" not in dict(wire.sent[0]["headers"])


@pytest.mark.parametrize(
    ("announced", "closes"),
    [(None, False), (str(LIMIT), False), (str(LIMIT + 1), True), (str(SHORT_BODY_BYTES + 1), True)],
)
async def test_a_refusal_before_the_body_closes_the_connection_unless_the_body_is_short(
    announced: str | None, closes: bool
):
    wire = Wire(b"x" * 10)
    asked = scope(content_length=announced) if announced else scope()
    await wire.exchange.refuse(BodyTooLarge(), asked)
    assert (dict(wire.sent[0]["headers"]).get(b"connection") == b"close") is closes
    assert json.loads(wire.body)["code"] == "body-too-large"
    assert wire.pieces == ([] if closes else [b"x" * 10])  # read on, so that the client reads the refusal


async def test_a_refusal_in_the_middle_of_the_body_reads_on_as_much_as_a_body_may_have():
    wire = Wire(*[b"x" * 50] * 100)
    for _ in range(2):
        await wire.exchange.receive()
    with pytest.raises(BodyTooLarge):
        await wire.exchange.receive()
    await wire.exchange.refuse(BodyTooLarge(), scope())
    assert 90 < len(wire.pieces) < 97
    assert not wire.sent[-1].get("more_body")


async def test_an_answer_that_has_begun_can_only_be_cut_off():
    wire = Wire(b"x")
    await read_all(wire.exchange)
    await wire.exchange.send(start())
    with pytest.raises(InferenceFailed):
        await wire.exchange.refuse(InferenceFailed(), scope())
    assert len(wire.sent) == 1


async def test_a_stream_that_fails_says_so_in_its_last_line():
    wire = Wire(b"x")
    await read_all(wire.exchange)
    wire.exchange.stream()
    await wire.exchange.send(start())
    await wire.exchange.send({"type": "http.response.body", "body": b'{"index": 0}\n', "more_body": True})
    await wire.exchange.refuse(InferenceFailed(), scope())
    error = json.loads(wire.body.splitlines()[1])["error"]
    assert (error["code"], error["request_id"]) == ("inference-failed", "7")
    assert not wire.sent[-1].get("more_body")


async def test_a_stream_whose_body_goes_on_closes_the_connection_behind_its_answer():
    wire = Wire(b"x", b"y")
    wire.exchange.stream()
    await wire.exchange.receive()
    await wire.exchange.send(start())
    assert (b"connection", b"close") in wire.sent[0]["headers"]


async def test_each_step_of_a_stream_has_as_much_time_and_as_many_bytes_as_a_request():
    wire = Wire(*[b"x" * 80] * 3)
    await begun(wire, asyncio.Event().wait)
    wire.exchange.deadline_s = time.monotonic() + 60
    wire.exchange.body_deadline_s = time.monotonic() + 30
    wire.exchange.stream()
    for _ in range(3):
        await wire.exchange.receive()
        wire.exchange.release(80)
        await wire.exchange.send(start())
        assert wire.exchange.deadline_s == pytest.approx(time.monotonic() + 60, abs=1)
        assert wire.exchange.body_deadline_s == pytest.approx(time.monotonic() + 30, abs=1)
    assert (wire.exchange.held_bytes, wire.exchange.released_bytes) == (0, 240)
    wire.exchange.hurry(end_s := time.monotonic() + 5)
    await wire.exchange.send(start())
    assert wire.exchange.deadline_s == end_s


async def test_what_a_stream_holds_at_once_is_limited():
    wire = Wire(b"x" * 80, b"x" * 80)
    wire.exchange.stream()
    await wire.exchange.receive()
    await wire.exchange.receive()
    wire.pieces = [b"x"]
    with pytest.raises(BodyTooLarge):
        await wire.exchange.receive()
