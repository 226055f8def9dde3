"""Agreement: when a choice becomes what is decided, and when one no longer waits for the others."""

import asyncio
from pathlib import Path

import pytest

from service.coordination.agreement import LOOKS, TRY_EVERY_S, Agreement, Vote


@pytest.fixture
def agreement(tmp_path: Path) -> Agreement:
    (tmp_path / "votes").touch()
    return Agreement(tmp_path / "votes", 2)


async def cast(vote: Vote, choice: int) -> None:
    async with vote.decide_alone():
        vote.cast(choice)


async def test_who_is_alone_decides_at_once(agreement: Agreement):
    vote = agreement.vote(0)
    assert vote.decided == 0
    await cast(vote, 7)
    assert (vote.decided, vote.is_unanimous) == (7, True)


async def test_it_is_decided_when_the_last_has_voted(agreement: Agreement):
    first, second = agreement.vote(0), agreement.vote(1)
    await cast(first, 7)
    await cast(second, 7)
    await cast(second, 8)
    assert (first.decided, second.decided, first.is_unanimous) == (7, 7, False)
    await cast(first, 8)
    assert (first.decided, second.decided, first.is_unanimous) == (8, 8, True)


async def test_one_that_begins_waits_for_the_others_or_they_for_it(agreement: Agreement):
    first, second = agreement.vote(0), agreement.vote(1)
    await cast(first, 7)
    await cast(second, 8)
    assert second.decided == 7
    await cast(first, 8)
    assert second.decided == 8


async def test_one_that_is_gone_holds_nobody_up(agreement: Agreement):
    first, second = agreement.vote(0), agreement.vote(1)
    await cast(first, 7)
    await cast(second, 7)
    await cast(first, 8)
    agreement.leave(1)
    await cast(first, 8)
    assert first.decided == 8


async def test_one_goes_alone_when_the_others_keep_to_something_else(agreement: Agreement):
    first, second = agreement.vote(0), agreement.vote(1)
    await cast(first, 7)
    await cast(second, 7)
    for _ in range(LOOKS + 2):  # the second may be loading: it says nothing
        await cast(first, 8)
    assert not first.is_alone
    for _ in range(LOOKS):
        assert not first.is_alone
        await cast(second, 7)
    assert first.is_alone
    assert not second.is_alone
    assert first.decided == 7


async def test_nobody_votes_while_another_does(agreement: Agreement):
    first, second = agreement.vote(0), agreement.vote(1)
    async with first.decide_alone():
        voting = asyncio.create_task(cast(second, 8))
        for _ in range(3):
            await asyncio.sleep(TRY_EVERY_S)
        first.cast(7)
        assert first.decided == 7
    await voting
    assert (first.decided, first.is_unanimous) == (7, False)
