"""Photographs as cameras, phones and programs leave them: whole ones of odd metadata, and cut ones."""

import random
import struct
import zlib
from collections.abc import Iterator

from PIL import Image, ImageCms

from support.image_files import UPRIGHT_TO_STORED, chunk, exif_directory, file, photo

END, SCAN = b"\xff\xd9", b"\xff\xda"
PNG_END = chunk(b"IEND", b"")
SIDE = 97
TAGS = [
    0x00FE,
    0x0100,
    0x0101,
    0x0102,
    0x010E,
    0x010F,
    0x0110,
    0x0111,
    0x011A,
    0x011B,
    0x0128,
    0x0131,
    0x0132,
]
TAGS += [
    0x013B,
    0x0201,
    0x0202,
    0x0213,
    0x0214,
    0x4746,
    0x8298,
    0x829A,
    0x8769,
    0x8825,
    0x9204,
    0x927C,
    0x9C9B,
]
TAGS += [0xA002, 0xA005, 0xA40B, 0xC4A5, 0xEA1C, 0xFFFF]
TYPES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 255, 65535]
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
INFLATING = zlib.compress(bytes(3_000_000), 9)


def stored(orientation: int) -> Image.Image:
    """The photograph as a camera that is held in some way stores it."""
    turn = UPRIGHT_TO_STORED[orientation]
    upright = photo(SIDE, 61)
    return upright if turn is None else upright.transpose(turn)


def oriented(orientation: int, order: str = "<", odd=()) -> bytes:
    entry = (0x0112, 3, 1, struct.pack(order + "H", orientation))
    return exif_directory(sorted([entry, *odd], key=lambda one: one[0]), order)


def odd_entries(dice: random.Random) -> list[tuple[int, int, int, bytes]]:
    """Entries of wrong types, of values that are none, and that point anywhere."""
    return [
        (
            dice.choice(TAGS),
            dice.choice(TYPES),
            dice.choice([0, 1, 2, 3, 20, 65536, 1 << 31]),
            dice.choice([bytes(4), b"\xff" * 4, b"72\0\0", struct.pack("<I", dice.randrange(300))]),
        )
        for _ in range(dice.randrange(1, 4))
    ]


def odd_exif(dice: random.Random, orientation: int) -> bytes:
    exif = oriented(orientation, dice.choice("<>"), odd_entries(dice))
    return exif + dice.choice([b"", bytes(500), dice.randbytes(300)])


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def odd_jpeg(dice: random.Random, orientation: int, raw: bytes) -> bytes:
    others = [
        segment(0xE2, b"ICC_PROFILE\0\x01\x01" + PROFILE),
        segment(0xE2, b"ICC_PROFILE\0\x07\x01" + dice.randbytes(60)),
        segment(0xE2, b"MPF\0" + dice.randbytes(60)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation='3'"),
        segment(0xED, b"Photoshop 3.0\0008BIM" + dice.randbytes(60)),
        segment(0xEE, b"Adobe\0"),
        segment(0xE0, b"JFXX\0\x10" + raw[:5000]),
        segment(0xFE, dice.randbytes(60_000)),
        b"\xff" * 5,
        b"\0stray bytes",
    ]
    exif = segment(0xE1, b"Exif\0\0" + odd_exif(dice, orientation))
    head = others[-3] + b"".join(dice.sample([exif, *dice.sample(others, 3)], 4))
    tail = dice.choice([b"", bytes(2000), raw, b"\0\0\0\x18ftypmp42" + dice.randbytes(3000)])
    return raw[:2] + head + raw[2:] + tail


def odd_png(dice: random.Random, orientation: int, raw: bytes) -> bytes:
    contents = {
        b"tEXt": [b"Comment\0" + bytes(2_000_000), b"", b"no end of the keyword"],
        b"zTXt": [b"prompt\0\0" + INFLATING, b"k\0\0" + dice.randbytes(50), b"k\0\x09"],
        b"iTXt": [b"XML:com.adobe.xmp\0\1\0\0\0" + INFLATING, b"k\0\1\0\0\0garbage"],
        b"iCCP": [b"sRGB\0\0" + zlib.compress(PROFILE), b"p\0\0" + INFLATING, b"p\0\0garbage", b""],
        b"pHYs": [struct.pack(">IIB", 0, 0, 9), b"", bytes(40)],
        b"tIME": [b"\xff" * 7, b""],
        b"gAMA": [bytes(4), b""],
        b"cHRM": [b"\xff" * 32, b"short"],
        b"sRGB": [b"\xff", b""],
        b"bKGD": [b"", bytes(9)],
        b"acTL": [struct.pack(">II", 1 << 30, 0), b""],
        b"npOl": [dice.randbytes(100)],
    }
    exif = chunk(b"eXIf", odd_exif(dice, orientation))
    kinds = dice.sample(list(contents), 3)
    chunks = [spoilt(chunk(kind, dice.choice(contents[kind])), dice) for kind in kinds]
    head = b"".join(dice.sample([exif, *chunks], 4))
    at = dice.choice([33, len(raw) - len(PNG_END)])
    return raw[:at] + head + raw[at:]


def spoilt(raw: bytes, dice: random.Random) -> bytes:
    """A chunk, every second one with a wrong checksum."""
    return raw if dice.random() < 0.5 else raw[:-1] + bytes((raw[-1] ^ 1,))


def odd_webp(dice: random.Random, orientation: int, raw: bytes) -> bytes:
    chunks = [(b"EXIF", b"Exif\0\0" * dice.randrange(2) + odd_exif(dice, orientation))]
    chunks += [(b"XMP ", dice.choice([b"", b"<x", dice.randbytes(50)])), (b"ZZZZ", dice.randbytes(9))]
    chunks = dice.sample(chunks, 3)
    tail = b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    flags = bytes((raw[20] | 0x0C,))  # there is EXIF, and XMP
    return b"RIFF" + struct.pack("<I", len(raw) + len(tail) - 8) + raw[8:20] + flags + raw[21:] + tail


ODD = {
    "JPEG": odd_jpeg,
    "progressive JPEG": odd_jpeg,
    "PNG": odd_png,
    "palette PNG": odd_png,
    "WebP": odd_webp,
}


def clean(kind: str, orientation: int) -> bytes:
    """The photograph with no metadata but its orientation."""
    image, exif = stored(orientation), b"Exif\0\0" + oriented(orientation)
    if kind == "palette PNG":
        return file(image.convert("P"), "PNG", transparency=bytes(range(256)), exif=exif)
    options = {"JPEG": {"quality": 90}, "progressive JPEG": {"progressive": True}}
    return file(image, kind.rsplit(maxsplit=1)[-1].upper(), exif=exif, **options.get(kind, {}))


def without_metadata(kind: str, orientation: int) -> bytes:
    image = stored(orientation)
    if kind == "palette PNG":
        return file(image.convert("P"), "PNG", transparency=bytes(range(256)))
    if kind == "WebP":  # extended, so that chunks may follow
        return file(image, "WEBP", xmp=b"<x/>")
    options = {"JPEG": {"quality": 90}, "progressive JPEG": {"progressive": True}}
    return file(image, kind.rsplit(maxsplit=1)[-1].upper(), **options.get(kind, {}))


def of_odd_metadata(count: int) -> Iterator[tuple[str, int, bytes]]:
    """Yield photographs whose metadata are odd, with their kind and orientation."""
    dice = random.Random(34)
    bare = {(kind, turn): without_metadata(kind, turn) for kind in ODD for turn in UPRIGHT_TO_STORED}
    for number in range(count):
        kind, orientation = list(bare)[number % len(bare)]
        yield kind, orientation, ODD[kind](dice, orientation, bare[kind, orientation])


def several_data_chunks(raw: bytes) -> bytes:
    """A PNG whose pixels are in chunks of 200 bytes."""
    at = raw.index(b"IDAT") - 4
    data = raw[at + 8 : at + 8 + int.from_bytes(raw[at : at + 4], "big")]
    parts = b"".join(chunk(b"IDAT", data[start : start + 200]) for start in range(0, len(data), 200))
    return raw[:at] + parts + PNG_END


def cut_and_closed(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield photographs that are cut in their pixels and closed with an end marker."""
    dice, image = random.Random(34), photo(SIDE, 61)
    jpegs = {
        "JPEG": file(image, "JPEG", quality=90),
        "JPEG, not subsampled": file(image, "JPEG", subsampling=0),
        "JPEG with restarts": file(image, "JPEG", restart_marker_blocks=4),
        "grey JPEG": file(image.convert("L"), "JPEG"),
        "CMYK JPEG": file(image.convert("CMYK"), "JPEG"),
        "progressive JPEG": file(image, "JPEG", progressive=True),
    }
    pngs = {
        "PNG": several_data_chunks(file(image, "PNG")),
        "palette PNG": several_data_chunks(file(image.convert("P"), "PNG")),
    }
    ends = dict.fromkeys(jpegs, END) | dict.fromkeys(pngs, PNG_END)
    kinds = list((jpegs | pngs).items())
    for number in range(count):
        name, raw = kinds[number % len(kinds)]
        start = raw.index(SCAN) + 14 if name in jpegs else raw.index(b"IDAT") + 4
        at = dice.randrange(start, len(raw) - len(ends[name]) - (0 if name in jpegs else 12))
        if name in pngs and dice.random() < 0.5:  # between two chunks, where no checksum is wrong
            at = raw.rindex(b"IDAT", 0, at) - 4 if raw.find(b"IDAT", 0, at - 200) > 0 else at
        yield name, raw[:at] + ends[name]
