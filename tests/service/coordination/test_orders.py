"""Orders: what is asked, of whom, and who has followed."""

import time
from pathlib import Path

from service.coordination.orders import OrderBook


def test_every_worker_reads_what_one_has_given(tmp_path: Path):
    book = OrderBook(tmp_path, 2)
    first, second = book.orders(0), book.orders(1)
    first.give("tiny", serve=False)
    second.give("other", serve=True)
    assert first.read() == second.read()
    assert first.unloaded(first.read()) == {"tiny"}


def test_the_last_order_holds_and_is_unlike_those_before(tmp_path: Path):
    orders = OrderBook(tmp_path, 1).orders(0)
    seen = set()
    for serve in (False, True, True, False):
        orders.give("tiny", serve=serve)
        seen.add(orders.read()["tiny"])
        assert orders.unloaded(orders.read()) == (set() if serve else {"tiny"})
    assert len(seen) == 4


def test_it_is_followed_once_every_worker_has_seen_it(tmp_path: Path):
    book = OrderBook(tmp_path, 2)
    before_s = time.monotonic()
    given_s = book.orders(0).give("tiny", serve=False)
    book.orders(0).note_followed(time.monotonic())
    assert not book.orders(0).all_followed(given_s)
    book.orders(1).note_followed(before_s)
    assert not book.orders(0).all_followed(given_s)
    book.orders(1).note_followed(time.monotonic())
    assert book.orders(0).all_followed(given_s)


def test_where_there_is_no_folder_there_are_no_orders():
    assert OrderBook(Path("/dev/null"), 1).orders(0).read() == {}
