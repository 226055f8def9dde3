"""Pulses: who shows no sign of life."""

import os

from service.coordination.heartbeats import Pulses

LOOKS = 3


def test_a_worker_is_silent_after_some_looks_without_a_beat():
    pulses = Pulses(2, LOOKS)
    first = pulses.pulse(0)
    for _ in range(LOOKS - 1):
        first.beat()
        assert pulses.look() == []
    first.beat()
    assert pulses.look() == [1]
    assert pulses.look() == [1]


def test_one_beat_is_enough():
    pulses = Pulses(1, LOOKS)
    for _ in range(5):
        for _ in range(LOOKS - 1):
            assert pulses.look() == []
        pulses.pulse(0).beat()
        assert pulses.look() == []


def test_a_worker_that_begins_has_its_time():
    pulses = Pulses(1, LOOKS)
    for _ in range(LOOKS):
        pulses.look()
    pulses.expect(0)
    for _ in range(LOOKS - 1):
        assert pulses.look() == []
    assert pulses.look() == [0]


def test_beats_are_seen_across_a_fork():
    pulses = Pulses(1, 1)
    pid = os.fork()
    if not pid:
        pulses.pulse(0).beat()
        os._exit(0)
    os.waitpid(pid, 0)
    assert pulses.look() == []
    assert pulses.look() == [0]
