import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms

from service.checkpoint.manifest import ImageSpec
from service.media import images
from service.media.image_errors import UnsupportedImage
from support.image_files import PNG, UPRIGHT_TO_STORED, chunk, file, photo, png, sixteen_bit, turned
from training.data.image_folder import fit

BYTES = (0.0, 255.0)
GREY = ImageSpec(channels=1, height=28, width=28, range=BYTES)
COLOUR = ImageSpec(channels=3, height=28, width=28, range=BYTES)
MAX_PIXELS = 1_000_000


def decode(raw, spec=GREY):
    return images.decode(raw, spec, MAX_PIXELS)


# --- the model's own size, and fitting to it ---


@settings(deadline=None)
@given(pixels=arrays.arrays(np.uint8, (28, 28)), kind=st.sampled_from(["png", "webp"]))
def test_a_grey_image_of_the_models_size_passes_untouched(pixels, kind):
    assert (decode(images.encode(pixels, kind)) == pixels[None]).all()


@settings(deadline=None)
@given(pixels=arrays.arrays(np.uint8, (28, 28, 3)), low=st.sampled_from([-1.0, 0.0]))
def test_pixels_survive_the_way_to_the_model_and_back(pixels, low):
    spec = COLOUR.model_copy(update={"range": (low, 1.0)})
    tensors = images.from_array(pixels[None], spec)
    assert tensors.shape == (1, 3, 28, 28)
    assert tensors.dtype == np.float32
    assert (images.to_pixels(tensors, spec)[0] == pixels).all()


@pytest.mark.parametrize("spec", [GREY, COLOUR])
@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
@pytest.mark.parametrize("size", [(300, 200), (200, 301), (9, 20), (28, 14), (28, 28), (1000, 1), (3, 500)])
def test_images_are_fitted_as_training_fits_them(spec, mode, size):
    image = sixteen_bit(*size) if mode == "I;16" else photo(*size, mode)
    raw = file(image, "JPEG", quality=95) if mode == "CMYK" else file(image)
    with Image.open(io.BytesIO(raw)) as opened:
        expected = fit(opened, 28, spec.channels)
    assert (decode(raw, spec) == expected).all()


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "P"])
def test_a_large_image_is_fitted_as_training_fits_it(mode):
    image = sixteen_bit(1500, 1001) if mode == "I;16" else photo(1500, 1001, mode)
    if mode == "RGBA":
        image.putalpha(photo(1500, 1001, "L"))
    raw = file(image, compress_level=1)
    with Image.open(io.BytesIO(raw)) as opened:
        expected = fit(opened, 28, 3)
    assert (images.decode(raw, COLOUR, 2_000_000) == expected).all()


def test_a_wide_image_is_centred_on_the_fill():
    spec = GREY.model_copy(update={"fill": 200})
    pixels = decode(file(Image.new("L", (280, 70), 90)), spec)[0]
    assert (pixels[10:17] == 90).all()  # (28 - 7) // 2 rows above
    assert (pixels[:10] == 200).all()
    assert (pixels[17:] == 200).all()


def test_a_model_that_is_not_square_gets_its_own_shape():
    spec = COLOUR.model_copy(update={"height": 16, "width": 48})
    assert decode(file(photo(90, 90)), spec).shape == (3, 16, 48)


@pytest.mark.parametrize(
    ("size", "expected"), [((100, 61), (64, 96)), ((3, 300), (304, 16)), ((32, 48), (48, 32))]
)
def test_without_a_fixed_size_sides_become_multiples_of_the_stride(size, expected):
    spec = ImageSpec(channels=3, height=None, width=None, stride=16, range=BYTES)
    tensor = decode(file(photo(*size)), spec)
    assert tensor.shape == (3, *expected)
    if size == expected[::-1]:
        assert (tensor == np.asarray(photo(*size)).transpose(2, 0, 1)).all()


def test_the_ends_of_the_range_are_black_and_white():
    spec = GREY.model_copy(update={"range": (-1.0, 1.0)})
    assert set(np.unique(decode(file(Image.new("1", (28, 28), 1)), spec))) == {1.0}
    assert set(np.unique(decode(file(Image.new("1", (28, 28), 0)), spec))) == {-1.0}


# --- the image zoo ---


@pytest.mark.parametrize("orientation", UPRIGHT_TO_STORED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_every_exif_orientation_gives_the_same_image(orientation, kind):
    options = {"PNG": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}[kind]
    difference = np.abs(decode(turned(orientation, kind, **options)) - decode(file(photo(60, 40))))
    assert difference.max() <= (3 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_exif_that_cannot_be_read_means_upright(kind):
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        raw = file(photo(60, 40), kind, exif=exif)
        assert exif[6:] in raw
        assert (decode(raw) == decode(file(photo(60, 40), kind))).all()


def test_a_16_bit_ramp_keeps_its_levels():
    spec = GREY.model_copy(update={"height": 64, "width": 64})
    levels = decode(file(sixteen_bit(64, 64)), spec)
    assert len(np.unique(levels)) >= 250
    assert (levels.min(), levels.max()) == (0, 255)


def test_16_bit_colour_keeps_its_levels():
    ramp = np.linspace(0, 65535, 28 * 28).astype(">u2").reshape(28, 28, 1).repeat(3, axis=2)
    rows = b"".join(b"\0" + row.tobytes() for row in ramp)
    raw = png(chunk(b"IDAT", zlib.compress(rows)), depth=16, colour=2)
    assert len(np.unique(decode(raw, COLOUR))) >= 250


def test_transparency_of_a_16_bit_grey_shows_the_fill():
    rows = b"".join(
        b"\0" + struct.pack(">28H", *[7 if x < 14 else 40000 for x in range(28)]) for _ in range(28)
    )
    raw = png(chunk(b"tRNS", struct.pack(">H", 7)), chunk(b"IDAT", zlib.compress(rows)), depth=16)
    pixels = decode(raw, GREY.model_copy(update={"fill": 99}))[0]
    assert (pixels[:, :14] == 99).all()
    assert (pixels[:, 14:] == round(40000 / 257)).all()


def test_transparency_of_a_16_bit_colour_shows_the_fill_and_nothing_else():
    clear, black, grey = (struct.pack(">3H", *[level] * 3) for level in (0x8000, 0, 0x4000))
    rows = (b"\0" + clear * 14 + black * 7 + grey * 7) * 28
    raw = png(chunk(b"tRNS", clear), chunk(b"IDAT", zlib.compress(rows)), depth=16, colour=2)
    pixels = decode(raw, COLOUR.model_copy(update={"fill": 99}))
    assert (pixels[..., :14] == 99).all()
    assert (pixels[..., 14:21] == 0).all()
    assert (pixels[..., 21:] == 0x40).all()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("clear", [0, 1, -1])
def test_transparency_of_grey_of_few_bits_shows_the_fill(depth, clear):
    """A level counts by its lowest bits, as the standard has it."""
    levels = 1 << depth
    clear %= levels
    other = (clear + 1) % levels
    row = [clear] * 14 + [other] * 14
    bits = "".join(f"{level:0{depth}b}" for level in row)
    packed = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    data = chunk(b"IDAT", zlib.compress((b"\0" + packed) * 28))
    for key in (clear, clear + 256) if depth > 1 else (clear,):
        raw = png(chunk(b"tRNS", struct.pack(">H", key)), data, depth=depth)
        pixels = decode(raw, GREY.model_copy(update={"fill": 99}))[0]
        assert (pixels[:, :14] == 99).all()
        assert (pixels[:, 14:] == other * 255 // (levels - 1)).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_shows_the_fill(mode):
    clear = Image.new("RGBA", (28, 28), (255, 0, 0, 0)).convert(mode)
    assert (decode(file(clear), COLOUR.model_copy(update={"fill": 77})) == 77).all()


def test_half_transparent_white_over_black_is_grey():
    half = Image.new("RGBA", (28, 28), (255, 255, 255, 128))
    assert (decode(file(half)) == 128).all()


@pytest.mark.parametrize("transparency", [1, bytes([255, 0])])
def test_a_palette_with_transparency_shows_the_fill(transparency):
    image = Image.fromarray(np.tile(np.arange(2, dtype=np.uint8), (28, 14)))
    image = image.convert("P")
    image.putpalette([10, 20, 30, 200, 210, 220])
    pixels = decode(file(image, transparency=transparency), COLOUR.model_copy(update={"fill": 5}))
    assert (pixels[:, 0, 0] == (10, 20, 30)).all()
    assert (pixels[:, :, 1::2] == 5).all()


def test_a_cmyk_jpeg_has_its_colours():
    raw = file(Image.new("CMYK", (28, 28), (0, 255, 255, 0)), "JPEG", quality=100)
    red = decode(raw, COLOUR).mean(axis=(1, 2))
    assert red[0] > 250
    assert max(red[1:]) < 5


def test_an_interlaced_png_is_read_whole():
    rows = np.tile(np.arange(28, dtype=np.uint8) * 9, (28, 1))
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    parts = (rows[y::dy, x::dx] for y, x, dy, dx in passes)
    data = b"".join(b"\0" + line.tobytes() for part in parts for line in part)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 1))
    raw = PNG + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    assert (decode(raw)[0] == rows).all()


def test_a_progressive_jpeg_is_the_same_as_a_plain_one():
    plain = decode(file(photo(90, 60), "JPEG", quality=90))
    assert (decode(file(photo(90, 60), "JPEG", quality=90, progressive=True)) == plain).all()


def test_a_colour_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    raw = file(photo(28, 28), icc_profile=profile)
    assert b"iCCP" in raw
    assert (decode(raw, COLOUR) == decode(file(photo(28, 28)), COLOUR)).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_its_first_frame(kind):
    first, *others = (Image.new("RGB", (28, 28), colour) for colour in ("red", "lime", "blue"))
    raw = file(first, kind, save_all=True, append_images=others, lossless=True)
    assert (decode(raw, COLOUR) == np.float32([255, 0, 0])[:, None, None]).all()


# --- in a thread or in place ---


def test_a_small_image_is_not_large_and_a_photograph_is():
    assert not images.is_large(file(photo(28, 28)))
    assert images.is_large(file(photo(1000, 800), "JPEG"))


def test_a_long_file_of_few_pixels_is_large():
    comment = b"\xff\xfe" + (20_002).to_bytes(2, "big") + bytes(20_000)
    raw = file(photo(28, 28), "JPEG")
    assert images.is_large(raw[:2] + comment + raw[2:])
    assert not images.is_large(raw)


def test_a_small_file_of_many_pixels_is_large():
    raw = file(Image.new("L", (1100, 1000)))
    assert len(raw) < images.IN_PLACE_BYTES
    assert images.is_large(raw)


# --- arrays ---


@pytest.mark.parametrize("spec", [GREY, COLOUR])
@pytest.mark.parametrize(
    "shape", [(3, 28, 28), (3, 28, 28, 1), (3, 28, 28, 3), (3, 28, 28, 4), (2, 40, 17, 3), (2, 9, 9)]
)
def test_an_array_gives_what_its_images_give_as_files(spec, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    rows = array[..., 0] if shape[3:] == (1,) else array
    expected = np.stack([decode(file(Image.fromarray(one)), spec) for one in rows])
    assert (images.from_array(array, spec) == expected).all()


@pytest.mark.parametrize(
    "shape", [(28, 28), (1, 28, 28, 2), (1, 28, 28, 5), (1, 1, 28, 28, 3), (0, 28, 28), (1, 0, 28)]
)
def test_arrays_of_other_shapes_are_refused(shape):
    with pytest.raises(UnsupportedImage):
        images.from_array(np.zeros(shape, np.uint8), GREY)


def test_arrays_of_floats_are_refused():
    with pytest.raises(UnsupportedImage):
        images.from_array(np.zeros((1, 28, 28), np.float32), GREY)


# --- out ---


def test_values_are_clipped_and_halves_round_to_even():
    spec = GREY.model_copy(update={"height": 1, "width": 5})
    values = np.float32([-40, 0.5, 1.5, 254.6, 900]).reshape(1, 1, 1, 5)
    assert images.to_pixels(values, spec).tolist() == [[[0, 0, 2, 255, 255]]]


@pytest.mark.parametrize("shape", [(28, 28), (17, 30, 3)])
@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_an_encoded_image_is_a_file_of_that_format(shape, kind):
    pixels = np.asarray(photo(shape[1], shape[0], "RGB" if len(shape) == 3 else "L"))
    with Image.open(io.BytesIO(images.encode(pixels, kind))) as opened:
        assert opened.format == kind.upper()
        kept = np.asarray(opened.convert("RGB" if len(shape) == 3 else "L"), int)
    assert np.abs(kept - pixels).mean() <= (4 if kind == "jpeg" else 0)


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (4, 2, 2), (7, 3, 3), (9, 3, 3), (64, 8, 8)]
)
def test_a_grid_is_near_square_in_reading_order(count, rows, columns):
    pixels = np.arange(1, count + 1, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    grid = images.grid(pixels)
    assert grid.shape == (rows * 2, columns * 3, 3)
    expected = list(range(1, count + 1)) + [0] * (rows * columns - count)
    assert grid[::2, ::3, 0].ravel().tolist() == expected


def test_a_grid_of_one_grey_image_is_that_image():
    pixels = np.asarray(photo(28, 28, "L"))
    assert (images.grid(pixels[None]) == pixels).all()
