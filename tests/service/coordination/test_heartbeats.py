"""Pulses: who shows no sign of life."""

from service.coordination.heartbeats import Heartbeats

LOOKS = 3


def test_a_worker_is_silent_after_some_looks_without_a_beat():
    heartbeats = Heartbeats(2, LOOKS)
    first = heartbeats.heartbeat(0)
    for _ in range(LOOKS - 1):
        first.beat()
        assert heartbeats.check() == []
    first.beat()
    assert heartbeats.check() == [1]
    assert heartbeats.check() == [1]


def test_one_beat_is_enough():
    heartbeats = Heartbeats(1, LOOKS)
    for _ in range(5):
        for _ in range(LOOKS - 1):
            assert heartbeats.check() == []
        heartbeats.heartbeat(0).beat()
        assert heartbeats.check() == []


def test_a_worker_that_begins_has_its_time():
    heartbeats = Heartbeats(1, LOOKS)
    for _ in range(LOOKS):
        heartbeats.check()
    heartbeats.expect(0)
    for _ in range(LOOKS - 1):
        assert heartbeats.check() == []
    assert heartbeats.check() == [0]
