"""Access to the headers of a request, as the parser or its ASGI scope has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from starlette.types import Scope

MAX_NUMBER = 2**63 - 1
MAX_DIGITS = 18
"""A number of no more digits is below MAX_NUMBER."""


class Framing(NamedTuple):
    """What the head of a message says of its host and of how long its body is."""

    hosts: int
    length_bytes: int
    coding: bytes | None


def framing(headers: Iterable[tuple[bytes, bytes]]) -> Framing:
    """Return what headers say, whose names are in lower case; the parser has checked Content-Length."""
    hosts, length_bytes, coding = 0, 0, None
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            length_bytes = read_number(value) or 0
        elif name == b"transfer-encoding":
            coding = value if coding is None else coding + b"," + value
    return Framing(hosts, length_bytes, coding)


def field_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return how many bytes header fields take on their lines."""
    return sum(len(name) + len(value) + len(": \r\n") for name, value in headers)


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the value of a request's header; `name` is in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def read_number(digits: bytes) -> int | None:
    """Return a whole number of any length, MAX_NUMBER for any above it; None if it is not a number.

    `int` alone refuses more than 4,300 digits.
    """
    if not digits.isdigit():
        return None
    significant = digits.lstrip(b"0")
    return int(significant or b"0") if len(significant) <= MAX_DIGITS else MAX_NUMBER
