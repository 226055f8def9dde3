"""Plain PNG files: what is read the fast way is what Pillow reads, and the rest is left to it."""

import io
import random
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from service.media import png
from service.media.image_errors import BrokenImage, UnsupportedImage
from service.media.png import MAX_CHUNKS
from support.fashion_subset import FASHION
from support.image_files import chunk, file, photo, sixteen_bit
from support.image_files import png as crafted
from training.data.datasets import read_idx

MAX_PIXELS = 100_000
ROWS = zlib.compress((b"\0" + bytes(28)) * 28)


def with_pillow(raw):
    return np.asarray(Image.open(io.BytesIO(raw), formats=("PNG",)))


@settings(deadline=None)
@given(
    st.one_of(
        arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))),
        arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))),
    )
)
def test_what_is_written_is_read_again_here_and_by_pillow(pixels):
    raw = png.write(pixels)
    assert np.array_equal(png.read(raw, MAX_PIXELS), pixels)
    assert np.array_equal(with_pillow(raw), pixels)
    assert png.size(raw) == pixels.shape[0] * pixels.shape[1]


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(28, 28), (1, 300), (200, 3)])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_plain_file_of_pillows_is_read_as_pillow_reads_it(mode, size, level):
    raw = file(photo(*size, mode), compress_level=level, dpi=(72, 72))
    assert np.array_equal(png.read(raw, MAX_PIXELS), with_pillow(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        file(photo(28, 28), "JPEG"),
        *(file(photo(28, 28, mode)) for mode in ("P", "1", "LA", "RGBA")),
        file(sixteen_bit(28, 28)),
        file(photo(28, 28, "L"), transparency=7),
        file(photo(28, 28), exif=photo(1, 1).getexif().tobytes() or b"Exif\0\0II*\0\x08\0\0\0\0\0"),
        crafted(chunk(b"tEXt", b"Raw profile type exif\0"), chunk(b"IDAT", ROWS)),
        crafted(chunk(b"IDAT", ROWS), depth=4),
        crafted(chunk(b"IDAT", ROWS), width=0),
        crafted(chunk(b"IDAT", ROWS[:-9])),
        crafted(*[chunk(b"tIME", bytes(7))] * 20, chunk(b"IDAT", ROWS)),
    ],
)
def test_everything_else_is_left_to_pillow(raw):
    assert png.read(raw, MAX_PIXELS) is None


def test_a_file_is_read_only_up_to_the_limit():
    raw = png.write(np.zeros((10, 11), np.uint8))
    assert png.read(raw, 110) is not None
    assert png.read(raw, 109) is None


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND"])
def test_a_wrong_checksum_is_noticed(kind):
    raw = png.write(np.zeros((28, 28), np.uint8))
    at = raw.index(kind)
    length = int.from_bytes(raw[at - 4 : at], "big")
    flipped = bytearray(raw)
    flipped[at + 4 + length] ^= 1
    assert png.read(bytes(flipped), MAX_PIXELS) is None


def test_no_damaged_file_is_half_an_image():
    chance = random.Random(1)
    files = [png.write(pixels) for pixels in read_idx(FASHION / "t10k-images-idx3-ubyte")[:16]]
    for number in range(4000):
        whole = files[number % len(files)]
        damaged = bytearray(whole[: chance.randrange(8, len(whole))] if number % 2 else whole)
        for _ in range(chance.choice((1, 2, 5)) if len(damaged) == len(whole) else 0):
            damaged[chance.randrange(8, len(damaged))] ^= 1 << chance.randrange(8)
        pixels = png.read(bytes(damaged), MAX_PIXELS)
        assert pixels is None or np.array_equal(pixels, png.read(whole, MAX_PIXELS))


# --- what Pillow gets of the others ---


def wrong(kind, data):
    """Return a chunk whose checksum is wrong."""
    return chunk(kind, data)[:-1] + bytes([chunk(kind, data)[-1] ^ 1])


def test_a_file_without_metadata_is_left_as_it_is():
    raw = file(photo(28, 28, "P"))
    chunks, exif = png.pixel_chunks(raw)
    assert chunks is raw
    assert exif == b""


@pytest.mark.parametrize(
    "kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"acTL", b"pHYs", b"teSt", b"npTc"]
)
@pytest.mark.parametrize("make", [chunk, wrong])
def test_metadata_is_left_out_whatever_it_is(kind, make):
    bare = crafted(chunk(b"IDAT", ROWS))
    for data in (b"", b"k\0\0garbage", bytes(100_000)):
        for parts in ((make(kind, data), chunk(b"IDAT", ROWS)), (chunk(b"IDAT", ROWS), make(kind, data))):
            assert png.pixel_chunks(crafted(*parts))[0] == bare


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tRNS", b"IDAT"])
def test_a_wrong_checksum_of_pixels_is_named(kind):
    raw = file(photo(28, 28, "P"), transparency=3)
    at = raw.index(kind)
    end = at + 4 + int.from_bytes(raw[at - 4 : at], "big")
    with pytest.raises(BrokenImage, match=kind.decode()):
        png.pixel_chunks(raw[:end] + bytes(4) + raw[end + 4 :])


def test_the_end_may_be_damaged_or_missing():
    raw = file(photo(28, 28, "P"))
    for cut in (raw[:-1], raw[:-4], raw[:-12], raw[:-1] + b"?", raw + b"more"):
        assert np.array_equal(with_pillow(png.pixel_chunks(cut)[0]), with_pillow(raw))


def test_a_chunk_that_must_be_understood_is_refused():
    with pytest.raises(UnsupportedImage):
        png.pixel_chunks(crafted(chunk(b"CgBI", bytes(4)), chunk(b"IDAT", ROWS)))


def test_a_file_cut_within_the_length_of_a_chunk_and_closed_is_damaged():
    rows = zlib.compress(random.Random(0).randbytes(29 * 28).replace(b"\5", b"\0"), 0)
    raw = crafted(chunk(b"IDAT", rows[:400]), chunk(b"IDAT", rows[400:]))
    at = raw.rindex(b"IDAT") - 4
    for cut in range(at, at + 8):
        closed = raw[:cut] + chunk(b"IEND", b"")
        with pytest.raises((BrokenImage, OSError)):
            with_pillow(png.pixel_chunks(closed)[0])


def test_exif_is_found_where_it_is_undamaged():
    data, exif = chunk(b"IDAT", ROWS), b"II*\0something"
    assert png.pixel_chunks(crafted(data, chunk(b"eXIf", exif)))[1] == exif
    assert png.pixel_chunks(crafted(data, wrong(b"eXIf", exif)))[1] == b""


def test_a_file_of_the_most_chunks_passes_and_one_more_fails():
    """The header, the pixels and the end are chunks too."""
    empty, data = chunk(b"teSt", b""), chunk(b"IDAT", ROWS)
    assert png.pixel_chunks(crafted(*[empty] * (MAX_CHUNKS - 3), data))[0] == crafted(data)
    with pytest.raises(BrokenImage, match="too many parts"):
        png.pixel_chunks(crafted(*[empty] * (MAX_CHUNKS - 2), data))
