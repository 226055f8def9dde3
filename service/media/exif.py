"""The one value of EXIF that changes an image: how the camera was held.

image_files -> orientation

Nothing else is read and nothing is written, so that no other tag can refuse an image. Pillow's reader is not
used: it reads every tag, keeps its value, and prints a warning for each that is odd.
"""

from __future__ import annotations

import struct

PREFIX = b"Exif\0\0"
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
ORIENTATION = 0x0112
NUMBERS = {1: "B", 3: "H", 4: "I"}
"""Types of whole numbers; the standard says 3, some writers use the others."""
UPRIGHT = 1


def orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8; 1, upright, where there is none or it cannot be read."""
    while exif.startswith(PREFIX):
        exif = exif[len(PREFIX) :]
    order = BYTE_ORDERS.get(exif[:4])
    try:
        found = _orientation(exif, order) if order else UPRIGHT
    except struct.error:  # an offset points outside
        return UPRIGHT
    return found if 1 <= found <= 8 else UPRIGHT


def _orientation(tiff: bytes, order: str) -> int:
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", tiff, at)
        if tag == ORIENTATION and kind in NUMBERS:
            (value,) = struct.unpack_from(order + NUMBERS[kind], tiff, at + 8)
            return int(value)
    return UPRIGHT
