"""Numbers and the framing of a message, as heads from outside have them."""

import pytest

from service.http.headers import MAX_NUMBER, field_bytes, framing, read_number


@pytest.mark.parametrize(
    ("digits", "number"),
    [
        (b"0", 0),
        (b"00012", 12),
        (b"999999999999999999", 10**18 - 1),
        (b"1000000000000000000", MAX_NUMBER),
        (b"9" * 10_000, MAX_NUMBER),
        (b"0" * 10_000 + b"7", 7),
        (b"", None),
        (b"-1", None),
        (b"+1", None),
        (b"1.0", None),
        (b"1 ", None),
        ("²".encode(), None),
        ("٣".encode(), None),
    ],
)
def test_a_number_of_any_length_is_read(digits: bytes, number: int | None):
    assert read_number(digits) == number


def test_the_framing_is_what_the_fields_say():
    fields = [(b"host", b"here"), (b"content-length", b"12"), (b"x", b"y")]
    assert framing(fields) == (1, 12, None)
    assert (
        framing([(b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked")]).coding
        == b"gzip,chunked"
    )
    assert framing([(b"host", b"a"), (b"host", b"b")]).hosts == 2


def test_a_field_takes_its_line():
    assert field_bytes([(b"x", b"y"), (b"host", b"here")]) == len(b"x: y\r\nhost: here\r\n")
