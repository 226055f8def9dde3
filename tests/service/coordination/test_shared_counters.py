"""Numbers that processes share."""

from pathlib import Path

from service.coordination.shared_counters import SharedCounters

LARGEST = 2**63 - 1


def test_they_start_at_zero_and_hold_64_bits():
    counters = SharedCounters(3)
    assert (len(counters), list(counters)) == (3, [0, 0, 0])
    counters[1] = LARGEST
    counters[2] = -LARGEST
    assert list(counters) == [0, LARGEST, -LARGEST]


def test_they_need_no_room_in_dev_shm():
    before = mapped_from_dev_shm()
    counters = SharedCounters(1 << 20)  # more than any memory that is kept from before
    counters[0] = 1
    assert mapped_from_dev_shm() == before


def mapped_from_dev_shm() -> int:
    return Path("/proc/self/maps").read_text().count("/dev/shm/")
