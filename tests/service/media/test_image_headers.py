"""What the bytes of an image file say before anything decodes them."""

import pytest

from service.media.image_headers import MAX_PROFILES, MAX_SCANS, MAX_SEGMENTS, format_of, has_too_many_parts
from support.image_files import PIXELS, PNG, chunk, disguised, file, photo, png

JPEG = file(photo(28, 28), "JPEG")
SCAN = b"\xff\xda"
COMMENT = b"\xff\xfe\x00\x02"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (PNG, "PNG"),
        (PNG[:-1], None),
        (b"\xff\xd8\xff", "JPEG"),
        (b"\xff\xd8", None),
        (b"RIFF\x00\x00\x00\x00WEBP", "WEBP"),
        (b"RIFF\x00\x00\x00\x00WEB", None),
        (b"riff\x00\x00\x00\x00WEBP", None),
        (b"", None),
    ],
)
def test_a_format_is_known_by_its_first_bytes(raw: bytes, expected: str | None):
    assert format_of(raw) == expected


def test_what_is_another_format_is_none():
    assert [format_of(raw) for raw in disguised()].count(None) == len(list(disguised()))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_ordinary_file_has_few_parts(kind: str):
    assert not has_too_many_parts(file(photo(70, 50), kind))


def test_a_png_of_the_most_chunks_passes_and_one_more_fails():
    """The header, the pixels and the end are chunks too."""
    empty = chunk(b"teSt", b"")
    assert not has_too_many_parts(png(*[empty] * (MAX_SEGMENTS - 3), PIXELS))
    assert has_too_many_parts(png(*[empty] * (MAX_SEGMENTS - 2), PIXELS))


def test_a_jpeg_of_the_most_segments_passes_and_one_more_fails():
    def with_segments(count: int) -> bytes:
        return JPEG[:2] + COMMENT * count + SCAN + JPEG

    assert not has_too_many_parts(with_segments(MAX_SEGMENTS))
    assert has_too_many_parts(with_segments(MAX_SEGMENTS + 1))


@pytest.mark.parametrize("stray", [b"\xff", b"a", b"\xff\x00", b"\xff\xd0"])
def test_what_stands_between_segments_is_counted(stray: bytes):
    assert has_too_many_parts(JPEG[:2] + stray * (MAX_SEGMENTS + 1) + JPEG[2:])


def test_colour_profiles_and_scans_are_counted_at_their_edges():
    profile = chunk(b"iCCP", b"p\0\0")
    assert not has_too_many_parts(png(profile * MAX_PROFILES, PIXELS))
    assert has_too_many_parts(png(profile * (MAX_PROFILES + 1), PIXELS))
    assert not has_too_many_parts(b"\xff\xd8\xff" + SCAN * MAX_SCANS)
    assert has_too_many_parts(b"\xff\xd8\xff" + SCAN * (MAX_SCANS + 1))
