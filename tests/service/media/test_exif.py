"""The orientation that EXIF has, whatever else it has."""

import struct
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from service.media.exif import PREFIX, orientation
from support.image_files import exif_directory


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "letter"), [(1, "B"), (3, "H"), (4, "I")])
@pytest.mark.parametrize("value", range(1, 9))
def test_every_whole_number_is_read_in_either_byte_order(order: str, kind: int, letter: str, value: int):
    entry = (0x0112, kind, 1, struct.pack(order + letter, value))
    assert orientation(exif_directory([entry], order)) == value
    assert orientation(PREFIX + PREFIX + exif_directory([entry], order)) == value


@pytest.mark.parametrize("value", range(1, 9))
def test_what_pillow_writes_is_read(value: int):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x0131] = "a camera", value, "a program"
    assert orientation(exif.tobytes()) == value


@pytest.mark.parametrize("kind", [0, 2, 5, 7, 11, 99])
def test_an_orientation_of_another_type_is_upright(kind: int):
    assert orientation(exif_directory([(0x0112, kind, 1, b"\6\0\0\0")])) == 1


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_upright(value: int):
    assert orientation(exif_directory([(0x0112, 3, 1, struct.pack("<H", value))])) == 1


def test_other_entries_do_not_matter_wherever_they_point():
    odd = [(tag, kind, 1 << 31, b"\xff\xff\xff\xff") for tag in (1, 0x8769) for kind in (0, 2, 5, 12, 999)]
    assert orientation(exif_directory([*odd, (0x0112, 3, 1, b"\6\0")])) == 6


@given(st.binary(max_size=200).map(lambda tail: b"II*\0" + tail) | st.binary(max_size=200))
@example(b"II*\0\xff\xff\xff\xff")
@example(b"II*\0\x08\0\0\0\xff\xff")
def test_what_cannot_be_read_is_upright_or_an_orientation(raw: bytes):
    assert orientation(raw) in range(1, 9)


def test_a_directory_of_values_that_overlap_is_not_expanded():
    """Each is as large as the file; a reader that keeps them all fills the memory."""
    entries = [(1000 + tag, 7, 1 << 20, b"\0\0\0\0") for tag in range(60_000)]
    exif = exif_directory(entries) + bytes(1 << 20)
    start = time.process_time()
    assert orientation(exif) == 1
    assert time.process_time() - start < 0.5
