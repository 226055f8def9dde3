"""Lines for a descriptor that may be slow, full, broken or closed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from service.observability.line_writer import CLOSE_S, MAX_LINES, LineWriter
from support.service_process import wait_until

LINE = "x" * 99
PIPE_LINES = 65536 // 100
"""Lines that a pipe holds."""


@pytest.fixture
def pipe() -> Iterator[tuple[TextIO, TextIO]]:
    """The two ends of a pipe, the one to read first."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as writer:
        yield reader, writer


def test_lines_are_written_in_their_order(tmp_path: Path):
    with (tmp_path / "log").open("w") as stream:
        writer = LineWriter(stream)
        for number in range(500):
            writer.write(f"line {number}")
        writer.close()
    assert (tmp_path / "log").read_text().splitlines() == [f"line {number}" for number in range(500)]
    assert writer.lost == 0


def test_who_writes_does_not_wait_for_who_reads(pipe: tuple[TextIO, TextIO]):
    reader, stream = pipe
    writer = LineWriter(stream)
    started = time.monotonic()
    count = 3 * MAX_LINES
    for _ in range(count):
        writer.write(LINE)
    assert time.monotonic() - started < 1
    assert count - MAX_LINES - PIPE_LINES - 10 < writer.lost < count - MAX_LINES
    for _ in range(count - writer.lost):
        assert reader.readline() == f"{LINE}\n"
    writer.write("it goes on")
    assert reader.readline() == "it goes on\n"


def test_the_end_does_not_wait_for_ever(pipe: tuple[TextIO, TextIO]):
    reader, stream = pipe
    writer = LineWriter(stream)
    for _ in range(MAX_LINES):
        writer.write(LINE)
    started = time.monotonic()
    writer.close()
    assert CLOSE_S <= time.monotonic() - started < CLOSE_S + 0.5
    reader.close()
    writer.close()  # else its thread would go on with a descriptor that another file has by then


def check_all_lost(writer: LineWriter) -> None:
    for _ in range(3):
        writer.write(LINE)
    wait_until(lambda: writer.lost == 3, "all are lost")


def test_lines_for_a_broken_pipe_are_lost(pipe: tuple[TextIO, TextIO]):
    reader, stream = pipe
    reader.close()
    check_all_lost(LineWriter(stream))


def test_lines_for_a_full_disk_are_lost():
    with Path("/dev/full").open("w") as stream:
        check_all_lost(LineWriter(stream))


def test_lines_for_a_closed_stream_are_lost():
    check_all_lost(LineWriter(None))
