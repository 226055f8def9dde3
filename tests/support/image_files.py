"""Images as files, good and crafted by hand, for the tests."""

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image, ImageCms

PNG = b"\x89PNG\r\n\x1a\n"


def photo(width, height, mode="RGB"):
    """An image with edges and gradients, the same every time."""
    seed = np.random.default_rng(width * 1000 + height).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(seed).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def file(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks, width=28, height=28, depth=8, colour=0):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return PNG + header + b"".join(chunks) + chunk(b"IEND", b"")


def sixteen_bit(width, height):
    ramp = np.linspace(0, 65535, width * height).astype(np.uint16).reshape(height, width)
    return Image.fromarray(ramp)


PIXELS = chunk(b"IDAT", zlib.compress(bytes(29 * 28)))


def disguised():
    """Files of other formats, which may call themselves what they like."""
    yield from (file(photo(28, 28), kind) for kind in ("GIF", "TIFF", "BMP", "PPM", "EPS", "PDF"))
    yield b"8BPS\0\1" + bytes(100)
    yield b'<svg xmlns="http://www.w3.org/2000/svg" width="28" height="28"/>'
    yield b"SIMPLE  =                    T"
    yield b"RIFF\x24\0\0\0WAVEfmt "


def frames(count):
    """A GIF of many frames."""
    one = file(Image.new("L", (8, 8)), "GIF")
    start = one.index(b"\x2c")
    return one[:start] + one[start:-1] * count + b";"


@cache
def huge():
    """A whole PNG of 50,000 by 50,000 pixels in 300 kilobytes."""
    side, packer = 50_000, zlib.compressobj(9)
    rows = [packer.compress(bytes((1 + side // 8) * 1000)) for _ in range(side // 1000)]
    return png(chunk(b"IDAT", b"".join(rows) + packer.flush()), width=side, height=side, depth=1)


def exif_directory(entries, order="<"):
    """EXIF of one directory; an entry is a tag, a type, a count, and four bytes: a value or where it is."""
    body = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3].ljust(4, b"\0") for entry in entries)
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "IH", 8, len(entries)) + body + bytes(4)


@cache
def ballast():
    """Whole images whose metadata wants much memory or time of whoever reads it."""
    text, profile = (kind + b"\0\0" + zlib.compress(bytes(100_000_000), 9) for kind in (b"k", b"p"))
    million = zlib.compress(bytes(1_000_000), 9)
    overlapping = exif_directory([(tag, 7, 1 << 20, b"\0\0\0\0") for tag in range(1000, 61_000)])
    return {
        "text": png(chunk(b"zTXt", text), PIXELS),
        "text after the pixels": png(PIXELS, chunk(b"zTXt", text)),
        "profile": png(chunk(b"iCCP", profile), PIXELS),
        "many profiles": png(chunk(b"iCCP", b"p\0\0" + million) * 1000, PIXELS),
        "EXIF whose values overlap": png(chunk(b"eXIf", overlapping + bytes(1 << 20)), PIXELS),
    }


@cache
def bombs():
    """Small files that want much memory or time."""
    jpeg = file(photo(28, 28), "JPEG")
    scans = file(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    return {
        "many chunks": png(chunk(b"teSt", b"") * 400_000, PIXELS),
        "many comments": jpeg[:2] + b"\xff\xfe\0\2" * 1_200_000 + jpeg[2:],
        "padding": jpeg[:2] + b"\xff" * 5_000_000 + jpeg[2:],
        "junk": jpeg[:4] + b"\0\2" + b"a" * 5_000_000 + jpeg[2:],
        "many scans": scans[:-2] + scans[scans.rfind(b"\xff\xda") : -2] * 1000 + scans[-2:],
        "pixels": huge(),
    }


def whole():
    """Whole files by kind, to be broken."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "PNG": file(photo(70, 50, "RGBA"), "PNG", exif=exif),
        "JPEG": file(photo(70, 50), "JPEG", exif=exif),
        "progressive JPEG": file(photo(70, 50), "JPEG", progressive=True),
        "WebP": file(photo(70, 50), "WEBP", exif=exif),
        "lossless WebP": file(photo(70, 50, "RGBA"), "WEBP", lossless=True),
    }


UPRIGHT_TO_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What a camera did to an image, by its EXIF orientation."""


def turned(orientation, kind="PNG", **options):
    """The same image, stored as a camera held in some way stores it."""
    upright = photo(60, 40)
    stored = upright if orientation == 1 else upright.transpose(UPRIGHT_TO_STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    return file(stored, kind, exif=exif, **options)


def zoo():
    """Whole files of every kind there is."""
    modes = {mode: file(photo(60, 40, mode)) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    palette = photo(60, 40, "P")
    others = [Image.new("RGB", (60, 40), colour) for colour in ("red", "lime")]
    return {
        **{f"EXIF {orientation}": turned(orientation) for orientation in UPRIGHT_TO_STORED},
        **modes,
        "16-bit ramp": file(sixteen_bit(64, 64)),
        "CMYK": file(photo(60, 40, "CMYK"), "JPEG"),
        "grey JPEG": file(photo(60, 40, "L"), "JPEG"),
        "progressive": file(photo(60, 40), "JPEG", progressive=True),
        "ICC": file(photo(60, 40), icc_profile=profile),
        "palette with transparency": file(palette, transparency=1),
        "palette of transparencies": file(palette, transparency=bytes(range(256))),
        "animated PNG": file(photo(60, 40), save_all=True, append_images=others),
        "animated WebP": file(photo(60, 40), "WEBP", save_all=True, append_images=others),
        "one pixel": file(photo(1, 1)),
        "wide": file(photo(3000, 2)),
    }
