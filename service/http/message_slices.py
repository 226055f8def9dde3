"""Where in the bytes of a connection its messages end, so that no more than one of them is parsed at once.

    Connection -> MessageSlices.end -> a slice for the parser; the parser -> begin_body, end_message

No message ends but with a blank line or after the bytes that its head announces, so a slice that stops there
holds nothing of the next message. Only what follows a chunked body may begin in its last slice.
"""

from __future__ import annotations

BLANK_LINE = b"\r\n\r\n"

MIN_CHUNKED_BYTES = 64
"""Bytes of a slice of a chunked body: few enough to hold no more than three requests after its end, enough
that a body of blank lines costs little."""


class MessageSlices:
    """Slices of one connection's messages, in the order in which they come."""

    def __init__(self) -> None:
        self._tail = b""
        """The last bytes of a head that has not ended, since its blank line may come in two pieces."""
        self._body_bytes = 0
        self.are_chunks = False
        """Whether they are of a chunked body that has not ended."""

    def begin_body(self, length_bytes: int, *, is_chunked: bool) -> None:
        """Note that a head ends, and what follows it."""
        self._body_bytes = length_bytes
        self.are_chunks = is_chunked

    def end_message(self) -> None:
        self._body_bytes = 0
        self.are_chunks = False

    def end(self, data: bytes, start: int) -> int:
        """Return where the slice of `data` ends that begins at `start`; it has to be parsed at once."""
        if self._body_bytes:
            end = min(len(data), start + self._body_bytes)
            self._body_bytes -= end - start
            return end
        end = self._end_at_blank_line(data, start)
        self._tail = (self._tail + data[max(start, end - 3) : end])[-3:] if end == len(data) else b""
        return end

    def _end_at_blank_line(self, data: bytes, start: int) -> int:
        across = (self._tail + data[start : start + 3]).find(BLANK_LINE)
        if across >= 0:
            return start + across + len(BLANK_LINE) - len(self._tail)
        found = data.find(BLANK_LINE, start + (MIN_CHUNKED_BYTES if self.are_chunks else 0))
        return len(data) if found < 0 else found + len(BLANK_LINE)
