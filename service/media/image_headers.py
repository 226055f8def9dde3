"""What the first bytes of an image file say: its format, also of those that are refused by name.

image_files, image_bodies -> format_of
"""

from __future__ import annotations

import re

READ = ("PNG", "JPEG", "WEBP")

SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WEBP": rb"RIFF.{4}WEBP",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{12}[\x0c-\x7c]\0\0\0",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "AVIF": rb".{4}ftyp(?:avi[fs]|mif1.{4}(?:.{4}){0,16}?avif)",
    "HEIC": rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG 2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ",
    "PSD": rb"8BPS",
    "ICO": rb"\0\0\x01\0",
    "PDF": rb"%PDF-",
    "SVG": rb"\s{0,64}<(?:\?xml|svg)",
}
_SIGNATURES = {name: re.compile(pattern, re.DOTALL) for name, pattern in SIGNATURES.items()}


def format_of(raw: bytes) -> str | None:
    """Return the name of the format that bytes begin as, None if it is not known."""
    return next((name for name, pattern in _SIGNATURES.items() if pattern.match(raw)), None)


def is_read(raw: bytes) -> bool:
    """Say whether bytes begin as an image in a format that is read."""
    return format_of(raw) in READ


def refusal(name: str | None) -> str:
    """Return what is said of a file in a format that is not read."""
    return f"{name} is not read; send PNG, JPEG or WebP" if name else "the image is not a PNG, JPEG or WebP"
