"""What the first bytes of an image file say."""

import pytest

from service.media.image_headers import format_of, is_read, refusal
from support.image_files import PNG, disguised


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
        (b"GIF89a", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", None),
        (b"\xff\x0a", "JPEG XL"),
        (b"%PDF-1.7", "PDF"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
    ],
)
def test_a_format_is_known_by_its_first_bytes(raw: bytes, expected: str | None):
    assert format_of(raw) == expected


def test_a_bitmap_is_more_than_two_letters():
    bitmap = next(raw for raw in disguised() if raw.startswith(b"BM"))
    assert format_of(bitmap) == "BMP"
    assert format_of(b"BM" + b"anything else that begins so") is None


def test_other_formats_are_not_read():
    assert not any(map(is_read, disguised()))


def test_a_refusal_names_the_format_and_what_to_send():
    assert refusal("HEIC") == "HEIC is not read; send PNG, JPEG or WebP"
    assert refusal(None) == "the image is not a PNG, JPEG or WebP"
