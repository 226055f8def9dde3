"""Which worker takes the next connection."""

import pytest

from service.coordination.connection_counts import ConnectionCounts, WorkerConnections


def shares(*counts: int) -> list[WorkerConnections]:
    """Shares of workers that hold these numbers of connections."""
    connection_counts = ConnectionCounts(len(counts))
    found = [connection_counts.worker(worker) for worker in range(len(counts))]
    for share, count in zip(found, counts, strict=True):
        share.join()
        for _ in range(count):
            share.opened()
    return found


def test_a_single_worker_takes_all():
    (share,) = shares(1000)
    assert share.is_fair


@pytest.mark.parametrize(
    ("counts", "fair"),
    [
        ((0, 0), (True, True)),
        ((1, 0), (False, True)),
        ((3, 2), (False, True)),
        ((125, 100), (True, True)),
        ((126, 100), (False, True)),
        ((5, 5, 4), (True, True, True)),
        ((6, 5, 4), (False, True, True)),
    ],
)
def test_it_is_fair_to_hold_as_many_as_the_others_or_a_quarter_more(
    counts: tuple[int, ...], fair: tuple[bool, ...]
):
    assert tuple(share.is_fair for share in shares(*counts)) == fair


def test_a_closed_connection_counts_no_longer():
    first, second = shares(1, 0)
    first.closed()
    assert first.is_fair
    assert second.is_fair


def test_nobody_waits_for_a_worker_that_left_or_never_came():
    first, second = shares(9, 0)
    second.leave()
    assert first.is_fair
    alone = ConnectionCounts(2).worker(0)
    alone.join()
    alone.opened()
    assert alone.is_fair
