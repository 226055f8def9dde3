"""Zip archives in memory: what is read, and what is refused before it takes memory."""

import io
import struct
import zipfile
import zlib

import pytest

from service.errors import BadRequest, BodyTooLarge, InvalidField, ServiceError
from service.media import zip_archives

FILES = [("b.png", b"second" * 50), ("a.png", b"first" * 50)]
MIB = 1 << 20


def pack(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return raw.getvalue()


def lie_about_size(raw: bytes, size: int) -> bytes:
    """Say that the only file is `size` bytes long, in both of its headers."""
    entry = raw.index(zip_archives.ENTRY)
    changed = bytearray(raw)
    struct.pack_into("<I", changed, 22, size)
    struct.pack_into("<I", changed, entry + 24, size)
    return bytes(changed)


def refused(raw: bytes, images: int = 8, limit: int = MIB) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        zip_archives.read(raw, images, limit)
    return refusal.value


@pytest.mark.parametrize("method", zip_archives.METHODS)
def test_files_come_in_the_order_of_the_archive(method: int):
    assert zip_archives.read(pack(FILES, method), 8, MIB) == FILES


def test_what_is_written_can_be_read_and_the_description_is_no_image():
    raw = zip_archives.write([*FILES, (zip_archives.DESCRIPTION, b"{}")])
    assert zip_archives.read(raw, 2, MIB) == FILES
    assert raw == zip_archives.write([*FILES, (zip_archives.DESCRIPTION, b"{}")])


def test_names_are_never_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("../up.png", "/etc/passwd", "C:\\x.png", "a/../../b", "same", "same")
    with pytest.warns(UserWarning, match="Duplicate"):
        raw = pack([(name, name.encode() + b"x") for name in names])
    assert zip_archives.read(raw, 8, MIB) == [(name, name.encode() + b"x") for name in names]
    assert list(tmp_path.iterdir()) == []


def test_folders_are_passed_over():
    assert zip_archives.read(pack([("folder/", b""), ("folder/a.png", b"a")]), 1, MIB) == [
        ("folder/a.png", b"a")
    ]


def test_the_most_images_pass_and_one_more_is_refused():
    raw = pack([(f"{i}.png", b"x") for i in range(8)])
    assert len(zip_archives.read(raw, 8, MIB)) == 8
    assert isinstance(refused(raw, images=7), InvalidField)


def test_a_list_of_a_great_many_entries_is_refused_by_its_length():
    error = refused(zip_archives.ENTRY * 100_000)
    assert isinstance(error, InvalidField)
    assert "at most 8" in error.detail


def test_the_most_bytes_pass_and_one_more_is_refused():
    raw = pack([("a", bytes(600)), ("b", bytes(400))])
    assert sum(len(content) for _, content in zip_archives.read(raw, 8, 1000)) == 1000
    assert isinstance(refused(raw, limit=999), BodyTooLarge)


def test_a_bomb_is_refused_by_what_it_declares():
    bomb = pack([("a.png", bytes(64 * MIB))])
    assert len(bomb) < MIB
    assert isinstance(refused(bomb), BodyTooLarge)


def test_a_bomb_that_lies_is_inflated_no_further_than_it_says():
    error = refused(lie_about_size(pack([("a.png", bytes(64 * MIB))]), 10))
    assert (type(error), error.detail) == (BadRequest, "The archive's file a.png is damaged.")


def test_a_file_shorter_than_it_says_is_refused():
    assert isinstance(refused(lie_about_size(pack([("a.png", b"abc")]), 1000)), BadRequest)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression_is_refused(method: int):
    assert "stored or deflated" in refused(pack(FILES, method)).detail


def test_an_encrypted_file_is_refused():
    raw = bytearray(pack(FILES))
    raw[6] |= 1
    raw[raw.index(zip_archives.ENTRY) + 8] |= 1
    assert isinstance(refused(bytes(raw)), BadRequest)


def test_a_changed_byte_is_noticed():
    raw = bytearray(pack([("a.png", zlib.compress(b"x" * 1000))], zipfile.ZIP_STORED))
    raw[45] ^= 1
    assert isinstance(refused(bytes(raw)), BadRequest)


@pytest.mark.parametrize(
    "raw", [b"", b"PK", b"PK\x05\x06", bytes(100), b"\x89PNG\r\n\x1a\n", pack(FILES)[:-5]]
)
def test_what_is_no_archive_is_refused(raw: bytes):
    assert isinstance(refused(raw), BadRequest)


def test_an_archive_without_images_is_refused():
    assert isinstance(refused(pack([(zip_archives.DESCRIPTION, b"{}")])), InvalidField)


JUNK = [
    "__MACOSX/",
    "__MACOSX/holiday/._a.png",
    "holiday/.DS_Store",
    ".DS_Store",
    "holiday/Thumbs.db",
    "holiday/thumbs.db",
    "desktop.ini",
    "holiday\\Thumbs.db",
    "holiday/._b.png",
]


def test_what_file_managers_add_is_passed_over():
    files = [("holiday/a.png", b"a"), ("holiday/b.png", b"b"), ("my Thumbs.db.png", b"c"), ("a._b", b"d")]
    assert zip_archives.read(pack([*((name, b"junk") for name in JUNK), *files]), 4, MIB) == files


def test_the_most_images_pass_with_all_that_macos_adds():
    files = [(f"{i}.png", b"x") for i in range(100)]
    forks = [(f"__MACOSX/._{i}.png", b"fork") for i in range(100)]
    assert len(zip_archives.read(pack(files + forks), 100, MIB)) == 100
    assert isinstance(refused(pack(files + forks), images=99), InvalidField)


def test_an_archive_of_nothing_but_junk_is_refused():
    assert "at least one image" in refused(pack([(name, b"junk") for name in JUNK])).detail


def test_a_damaged_file_is_named():
    raw = bytearray(pack([("a.png", b"first" * 9), ("b.png", b"second" * 9)], zipfile.ZIP_STORED))
    raw[raw.index(b"second")] ^= 1
    assert refused(bytes(raw)).detail == "The archive's file b.png is damaged."


def test_an_encrypted_file_is_named():
    raw = bytearray(pack([("a.png", b"a")]))
    raw[raw.index(zip_archives.ENTRY) + 8] |= 1
    assert refused(bytes(raw)).detail == "The archive's file a.png is encrypted."


def test_a_name_is_shown_in_part_and_without_control_characters():
    ((name, _),) = zip_archives.read(pack([("x" * 200 + "\n\x1b[31m/a.png", b"a")]), 1, MIB)
    assert name.endswith("x??[31m/a.png")
    assert len(name) == zip_archives.MAX_NAME
