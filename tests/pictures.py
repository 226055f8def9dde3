"""Pictures as files, good and crafted by hand, for the tests."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"


def photo(width, height, mode="RGB"):
    """A picture with edges and gradients, the same every time."""
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
