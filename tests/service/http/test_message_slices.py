"""Slices of a connection's bytes hold no more than the rest of one message, however they come."""

import itertools
import random

import httptools
import pytest

from service.http.message_slices import MIN_CHUNKED_BYTES, MessageSlices

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\na\r\n\r\n\r\n\r\nbcd"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


class Parser:
    """Parses slices, and counts the messages that each of them touches."""

    def __init__(self) -> None:
        self.slices = MessageSlices()
        self.parser = httptools.HttpRequestParser(self)
        self.most = self.ended = 0

    def on_message_begin(self) -> None:
        self.touched += 1
        self.length, self.coding = b"0", None

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"Content-Length":
            self.length = value
        elif name == b"Transfer-Encoding":
            self.coding = value

    def on_headers_complete(self) -> None:
        self.slices.begin_body(int(self.length), is_chunked=self.coding is not None)

    def on_message_complete(self) -> None:
        self.slices.end_message()
        self.ended += 1

    def feed(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            end = self.slices.end(data, start)
            assert start < end <= len(data)
            self.touched = 0
            self.parser.feed_data(data[start:end])
            self.most = max(self.most, self.touched)
            start = end


@pytest.mark.parametrize("seed", range(30))
def test_no_slice_begins_two_messages(seed: int):
    dice = random.Random(seed)
    messages = [dice.choice((GET, POST)) for _ in range(40)]
    data = b"".join(messages)
    cuts = sorted({dice.randrange(1, len(data)) for _ in range(dice.choice((0, 3, 30, 300)))})
    parser = Parser()
    for start, end in itertools.pairwise([0, *cuts, len(data)]):
        parser.feed(data[start:end])
    assert parser.ended == len(messages)
    assert parser.most == 1


def test_a_blank_line_that_comes_byte_by_byte_ends_a_message():
    parser = Parser()
    for byte in GET + POST + GET:
        parser.feed(bytes([byte]))
    assert (parser.ended, parser.most) == (3, 1)


def test_after_a_chunked_body_few_messages_begin_in_one_slice():
    parser = Parser()
    parser.feed((CHUNKED + GET * 100) * 20)
    assert parser.ended == 20 * 101
    assert parser.most <= 1 + MIN_CHUNKED_BYTES // len(GET)


def test_a_chunked_body_of_blank_lines_has_few_slices():
    slices = MessageSlices()
    slices.begin_body(0, is_chunked=True)
    data, start, count = b"\r\n\r\n" * 10_000, 0, 0
    while start < len(data):
        start, count = slices.end(data, start), count + 1
    assert count <= len(data) // MIN_CHUNKED_BYTES + 1
