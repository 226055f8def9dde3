"""JPEG files: read as Pillow reads them where they are whole, refused where a scan lacks anything."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from service.media import jpeg
from service.media.image_errors import BrokenImage, ImageError, UnsupportedImage
from service.media.jpeg import END, MAX_SCANS, MAX_SEGMENTS, START
from support.image_files import file, photo

SCAN = b"\xff\xda"
COMMENT = b"\xff\xfe\x00\x02"
KINDS = {
    "plain": file(photo(90, 70), "JPEG", quality=85),
    "not subsampled": file(photo(90, 70), "JPEG", quality=85, subsampling=0),
    "grey": file(photo(90, 70, "L"), "JPEG"),
    "CMYK": file(photo(90, 70, "CMYK"), "JPEG"),
    "RGB": file(photo(90, 70), "JPEG", keep_rgb=True),
    "progressive": file(photo(90, 70), "JPEG", progressive=True),
    "grey, progressive": file(photo(90, 70, "L"), "JPEG", progressive=True),
    "with restarts": file(photo(90, 70), "JPEG", restart_marker_blocks=3),
}


def with_pillow(raw: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(raw), formats=("JPEG",)))


def read(raw: bytes) -> np.ndarray:
    found = jpeg.read(raw)
    pixels = found.decode()
    return pixels[..., :3] if found.mode == "RGBX" else pixels


@pytest.fixture(params=KINDS)
def raw(request: pytest.FixtureRequest) -> bytes:
    return KINDS[request.param]


def test_a_whole_file_has_the_pixels_that_pillow_reads(raw: bytes):
    assert jpeg.read(raw).size == (90, 70)
    assert np.array_equal(read(raw), with_pillow(raw))


def test_a_file_that_lacks_its_end_marker_alone_is_whole(raw: bytes):
    assert np.array_equal(read(raw.removesuffix(END)), with_pillow(raw))


def test_what_follows_the_end_marker_does_not_matter(raw: bytes):
    for tail in (bytes(100), raw, b"\xff" * 9, SCAN * 200):
        assert np.array_equal(read(raw + tail), with_pillow(raw))


def test_a_file_cut_anywhere_in_its_scans_and_closed_is_refused(raw: bytes):
    """The last byte of a scan may be padding alone."""
    start = raw.index(SCAN) + 14
    for at in {start, *random.Random(raw).sample(range(start, len(raw) - 3), 60), len(raw) - 4}:
        for closed in (raw[:at] + END, raw[:at]):
            with pytest.raises(ImageError):
                read(closed)


def test_a_file_cut_between_two_scans_and_closed_is_refused():
    raw = KINDS["progressive"]
    scans = [at for at in range(len(raw)) if raw.startswith(SCAN, at)]
    assert len(scans) > 5
    for at in scans[1:]:
        with pytest.raises(BrokenImage):
            jpeg.read(raw[:at] + END)


def test_a_scan_of_each_colour_is_read_once_all_are_there():
    plain = with_pillow(KINDS["not subsampled"])
    raw = sequential_scans(photo(90, 70))
    assert np.abs(read(raw).astype(int) - plain).mean() < 8
    last = raw.rindex(SCAN)
    with pytest.raises(BrokenImage):
        jpeg.read(raw[:last] + END)


def sequential_scans(image: Image.Image) -> bytes:
    """Return a colour JPEG with a scan for each component: three grey files, put together."""
    parts = [file(one, "JPEG", quality=95) for one in image.convert("YCbCr").split()]
    head = parts[0][: parts[0].index(SCAN)]
    frame = head.index(b"\xff\xc0")
    components = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    frame_header = head[frame : frame + 2] + b"\0\x11" + head[frame + 4 : frame + 9] + b"\3" + components
    scans = []
    for number, part in enumerate(parts, 1):
        data = part[part.index(SCAN) + 10 : -2]
        scans.append(SCAN + b"\0\x08\1" + bytes((number, 0)) + b"\0\x3f\0" + data)
    return head[:frame] + frame_header + head[frame + 13 :] + b"".join(scans) + END


# --- metadata ---


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


@pytest.mark.parametrize(
    "odd",
    [
        segment(0xE1, b"Exif\0\0garbage"),
        segment(0xE2, b"ICC_PROFILE\0\x09\x01garbage"),
        segment(0xE2, b"MPF\0garbage"),
        segment(0xE0, b"JFIF\0\x07\x07"),
        segment(0xE0, b"JFXX\0\x10" + KINDS["grey"]),
        segment(0xED, b"Photoshop 3.0\0garbage"),
        segment(0xEE, b"Adobe"),
        segment(0xFE, bytes(60_000)),
        b"\xff\xe5\0\0",
        b"junk between segments",
        b"\xff\xff\xff",
    ],
)
def test_odd_segments_change_nothing(raw: bytes, odd: bytes):
    assert np.array_equal(read(START + odd + raw[2:]), with_pillow(raw))


def test_exif_is_found_and_the_first_counts():
    first, second = b"Exif\0\0II*\0one", b"Exif\0\0II*\0two"
    raw = (
        START
        + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0")
        + segment(0xE1, first)
        + segment(0xE1, second)
    )
    assert jpeg.read(raw + KINDS["plain"][2:]).exif == first
    assert jpeg.read(KINDS["plain"]).exif == b""


@pytest.mark.parametrize(("kind", "known", "odd"), [("RGB", 0, None), ("plain", 1, 2), ("CMYK", 2, 1)])
def test_adobes_segment_says_which_colours_are_stored(kind: str, known: int, odd: int | None):
    head, raw = b"Adobe\0\x64\0\0\0\0", KINDS[kind]
    at = raw.find(b"\xff\xee")
    rest = raw[2:] if at < 0 else raw[2:at] + raw[at + 16 :]
    as_known = read(START + segment(0xEE, head + bytes([known])) + rest)
    if odd is None:
        assert np.array_equal(as_known, with_pillow(raw))
    else:
        assert np.array_equal(read(START + segment(0xEE, head + bytes([odd])) + rest), as_known)


def test_numbers_of_a_scan_header_that_mean_nothing_do_not_matter():
    raw = KINDS["plain"]
    at = raw.index(SCAN) + 2 + int.from_bytes(raw[raw.index(SCAN) + 2 :][:2], "big")
    assert raw[at - 3 : at] == b"\0\x3f\0"
    assert np.array_equal(read(raw[: at - 3] + b"\0\0\0" + raw[at:]), with_pillow(raw))


def test_a_padded_scan_is_whole(raw: bytes):
    assert np.array_equal(read(raw[:-2] + bytes(50) + END), with_pillow(raw))


# --- limits ---


def segments(raw: bytes) -> int:
    return len(list(jpeg._segments(raw)))


@pytest.mark.parametrize("part", [COMMENT, b"a", b"\xff", b"\xff\x00", b"\xff\xd0"])
def test_a_file_of_the_most_parts_passes_and_one_more_fails(part: bytes):
    raw = KINDS["progressive"]
    per_part = 2 if part == b"\xff\x00" else 1
    free = (MAX_SEGMENTS - segments(raw)) // per_part
    assert read(START + part * free + raw[2:]).shape == (70, 90, 3)
    with pytest.raises(BrokenImage, match="too many parts"):
        jpeg.read(START + part * (free + 1) + raw[2:])


def test_scans_are_counted_at_their_edge():
    raw = KINDS["grey, progressive"]
    last = raw[raw.rindex(SCAN) : -2]
    free = MAX_SCANS - sum(found.marker == jpeg.SCAN for found in jpeg._segments(raw))
    assert jpeg.read(raw[:-2] + last * free + END).size == (90, 70)
    with pytest.raises(BrokenImage, match="too many parts"):
        jpeg.read(raw[:-2] + last * (free + 1) + END)


@pytest.mark.parametrize("sampling", [0x42, 0x14])
def test_a_chroma_subsampling_that_is_not_read_is_named(sampling: int):
    raw = bytearray(KINDS["not subsampled"])
    raw[raw.index(b"\xff\xc0") + 11] = sampling
    with pytest.raises(UnsupportedImage, match="subsampling"):
        jpeg.read(bytes(raw))


def test_noise_raises_image_errors_alone():
    chance = random.Random(0)
    for _ in range(3000):
        raw = bytearray(chance.choice(list(KINDS.values())))
        for _ in range(chance.randrange(1, 4)):
            raw[chance.randrange(2, 400)] = chance.randrange(256)
        try:
            found = jpeg.read(bytes(raw))
            if found.size[0] * found.size[1] < 100_000:
                found.decode()
        except ImageError:
            pass
