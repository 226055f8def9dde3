"""The desired state: when a choice serves, when it is no longer waited for, when an order is followed."""

import asyncio
from collections.abc import Callable

import pytest

from service.coordination import desired_state
from service.coordination.desired_state import (
    CHANCES,
    HANGS_S,
    MAX_ORDERS,
    DesiredState,
    Participant,
    choose,
    mark,
    revision_of,
)

LOADED, NEWER = choose("tiny@1", 0), choose("tiny@2", 0)


def workers(count: int) -> tuple[DesiredState, list[Participant]]:
    state = DesiredState(count)
    return state, [state.participant(number) for number in range(count)]


def nothing() -> None:
    """Follow in no way."""


async def follow_all(*participants: Participant) -> None:
    """Prepare a choice that follows all orders, in each of them."""
    for one in participants:
        one.has_news()
        await one.prepare(choose("tiny@1", one.revision))


def follower(*participants: Participant) -> Callable[[], None]:
    """Return what an order is given to call, by which they all follow."""
    return lambda: asyncio.ensure_future(follow_all(*participants)) and None


def test_marks_are_positive_numbers_that_tell_texts_apart():
    marks = {mark(f"name-{number}") for number in range(1000)}
    assert len(marks) == 1000
    assert min(marks) > 0
    assert max(marks) < 2**62


def test_a_choice_is_of_a_content_and_a_revision():
    assert choose("a", 3) == choose("a", 3)
    assert len({choose("a", 3), choose("a", 4), choose("b", 3)}) == 3
    assert revision_of(choose("a", MAX_ORDERS)) == MAX_ORDERS
    assert 0 < choose("a", MAX_ORDERS) < 2**63


async def test_who_is_alone_is_followed_at_once():
    _, (one,) = workers(1)
    assert one.committed == 0
    await one.prepare(LOADED)
    assert (one.committed, one.has_news()) == (LOADED, False)


async def test_all_change_over_when_the_last_has_prepared():
    _, (first, second) = workers(2)
    await first.prepare(LOADED)
    await second.prepare(LOADED)
    await second.prepare(NEWER)
    assert (first.committed, second.committed, first.has_news()) == (LOADED, LOADED, True)
    await first.prepare(NEWER)
    assert (first.committed, second.committed, first.has_news()) == (NEWER, NEWER, False)


async def test_one_that_begins_waits_for_the_others_or_they_for_it():
    _, (first, second) = workers(2)
    await first.prepare(LOADED)
    await second.prepare(NEWER)
    assert second.committed == LOADED
    await first.prepare(NEWER)
    assert second.committed == NEWER


async def test_one_that_is_gone_holds_nobody_up():
    state, (first, second) = workers(2)
    for one in (first, second):
        await one.prepare(LOADED)
    await first.prepare(NEWER)
    state.leave(1)
    assert (first.committed, first.has_news()) == (NEWER, False)


async def test_nobody_is_waited_for_after_some_scans_without_a_new_choice():
    _, (first, second) = workers(2)
    for one in (first, second):
        await one.prepare(LOADED)
    await first.prepare(NEWER)
    for _ in range(CHANCES):  # the second may be loading: it says nothing
        await first.prepare(NEWER)
    for _ in range(CHANCES):
        assert first.committed == LOADED
        await second.prepare(LOADED)
    assert first.committed < 0
    assert not first.has_news()


async def test_a_split_is_one_number_of_its_own_and_ends_when_all_agree():
    _, (first, second) = workers(2)
    seen = []
    for one, other in ((LOADED, NEWER), (NEWER, LOADED)):
        for _ in range(CHANCES + 1):
            await first.prepare(one)
            await second.prepare(other)
        seen.append(first.committed)
    assert (len(set(seen)), max(seen) < 0) == (2, True)
    await second.prepare(NEWER)
    assert (second.committed, second.has_news()) == (NEWER, False)


async def test_a_new_choice_gives_all_their_chances_again():
    _, (first, second) = workers(2)
    await second.prepare(LOADED)
    for number in range(3 * CHANCES):
        await first.prepare(choose(f"tiny@{number}", 0))
        await second.prepare(LOADED)
    assert second.committed == LOADED


async def test_what_was_prepared_before_is_committed_until_the_supervisor_has_seen_the_next():
    """As between processes: the supervisor settles later."""
    state = DesiredState(1)
    reports: list[int] = []
    one = state.participant(0, reports.append)
    for choice in (LOADED, NEWER):
        preparing = asyncio.create_task(one.prepare(choice))
        while not reports:
            await asyncio.sleep(0)
        assert not preparing.done()
        assert one.committed != choice
        state.settle([reports.pop()])
        await preparing
        assert one.committed == choice


async def test_an_order_is_followed_once_every_worker_serves_it():
    _, (first, second) = workers(2)
    await follow_all(first, second)
    ordering = asyncio.create_task(first.order("tiny", serve=False, follow=follower(first)))
    while first.revision == 0:
        await asyncio.sleep(0)
    assert second.has_news()
    assert second.orders(0, 1) == {mark("tiny"): False}
    for _ in range(3):
        await asyncio.sleep(desired_state.CHECK_EVERY_S)
        assert not ordering.done()
    await follow_all(second)
    await ordering
    assert not second.has_news()


async def test_the_last_order_for_a_name_holds():
    _, (one,) = workers(1)
    await follow_all(one)
    for serve in (False, True, True, False):
        before = one.revision
        await one.order("tiny", serve=serve, follow=follower(one))
        assert one.orders(before, one.revision) == {mark("tiny"): serve}
    await one.order("other", serve=True, follow=follower(one))
    assert one.orders(0, one.revision) == {mark("tiny"): False, mark("other"): True}


async def test_a_worker_that_hangs_or_a_supervisor_ends_an_order():
    state, (first, second) = workers(2)
    await follow_all(first, second)
    with pytest.raises(TimeoutError):
        await first.order("tiny", serve=False, follow=follower(first))
    await follow_all(second)
    unheard = state.participant(0, lambda _: None)
    with pytest.raises(TimeoutError):
        await unheard.order("tiny", serve=True, follow=nothing)


async def test_a_worker_that_loads_is_waited_for():
    _, (first, second) = workers(2)
    await follow_all(first, second)
    notices = lambda: second.has_news() and None  # noqa: E731
    ordering = asyncio.create_task(first.order("tiny", serve=True, follow=notices))
    await asyncio.sleep(0)
    first.has_news()
    await asyncio.wait([ordering], timeout=HANGS_S + 4 * desired_state.CHECK_EVERY_S)
    assert not ordering.done()
    await follow_all(first, second)
    await ordering


async def test_one_that_begins_follows_what_was_ordered_before_it_serves():
    _, (first, second) = workers(2)
    await follow_all(first)
    await first.order("tiny", serve=False, follow=follower(first))
    await second.prepare(choose("tiny@1", 0))
    assert revision_of(second.committed) == 1
    assert second.has_news()
    await follow_all(second)
    assert not second.has_news()


async def test_no_more_orders_are_taken_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(desired_state, "MAX_ORDERS", 2)
    state, (one,) = workers(1)
    state.settle([mark("a"), 0, -mark("b"), mark("c")])
    assert one.revision == 2
    assert one.orders(0, 2) == {mark("a"): True, mark("b"): False}


async def test_an_order_that_one_of_them_cannot_follow_is_not_followed():
    state, (first, second) = workers(2)
    await follow_all(first, second)
    state.settle([-mark("tiny")])
    for _ in range(CHANCES + 1):
        await first.prepare(choose("tiny@1", 1))
        await second.prepare(choose("tiny@1", 0))
    assert first.committed < 0
    assert first.has_news()
    await second.prepare(choose("tiny@1", 1))
    assert not first.has_news()
