"""Zip archives of images, in memory: names are never used as paths, and nothing inflates beyond a limit.

application/zip body -> read -> image files -> request_bodies; rendering -> write -> application/zip
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable

from service.errors import BadRequest, BodyTooLarge, InvalidField, ServiceError

DESCRIPTION = "answer.json"
"""The entry with what an answer says besides its images; in a body it is passed over."""

ENTRY = b"PK\x01\x02"
"""Begins each entry of the list at an archive's end."""
MAX_OTHERS = 64
"""Folders and descriptions that an archive may list, besides its images and what macOS adds to each."""
JUNK = re.compile(r"(^|[/\\])(__MACOSX[/\\]|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
"""What file managers add to a folder."""
MAX_NAME = 100
"""Characters of an entry's name that a refusal repeats."""
ENCRYPTED = 1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
NOT_ZIP = "The body is not a whole .zip file."


def is_archive(raw: bytes) -> bool:
    """Say whether bytes begin as an archive, which may be empty."""
    return raw.startswith((b"PK\3\4", b"PK\5\6"))


def read(raw: bytes, max_images: int, max_bytes: int) -> list[tuple[str, bytes]]:
    """Return the files of an archive in the order it lists them, of `max_bytes` together at most.

    Each comes with its name as a refusal shows it. What file managers add is passed over.

    Takes as long as that many bytes take to inflate: call it in a thread.

    Raises:
        BadRequest: this is not an archive, is damaged, or is compressed or encrypted in an unusual way.
        BodyTooLarge: its files hold more than `max_bytes`.
        InvalidField: it has more files than `max_images`, or none.
    """
    too_many = InvalidField.at(("body",), f"at most {max_images} images in one archive")
    if raw.count(ENTRY) > 2 * max_images + MAX_OTHERS:  # before each becomes an object
        raise too_many
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = [one for one in archive.infolist() if _is_image(one)]
            if len(entries) > max_images:
                raise too_many
            if sum(one.file_size for one in entries) > max_bytes:
                raise BodyTooLarge(f"The files of an archive may have {max_bytes} bytes together.")
            files = [(_shown(one), _read_entry(archive, one)) for one in entries]
    except ServiceError:
        raise
    except Exception:  # noqa: BLE001 -- parsers raise whatever they stumble over
        raise BadRequest(NOT_ZIP) from None
    if not files:
        raise InvalidField.at(("body",), "the archive needs at least one image")
    return files


def _is_image(entry: zipfile.ZipInfo) -> bool:
    return not entry.is_dir() and entry.filename != DESCRIPTION and not JUNK.search(entry.filename)


def _shown(entry: zipfile.ZipInfo) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in entry.filename[-MAX_NAME:])


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Inflate one file, up to the size it declares; a longer one fails its checksum."""
    if entry.flag_bits & ENCRYPTED:
        raise BadRequest(f"The archive's file {_shown(entry)} is encrypted.")
    if entry.compress_type not in METHODS:
        raise BadRequest(f"The archive's file {_shown(entry)} must be stored or deflated.")
    try:
        with archive.open(entry) as file:
            content = file.read(entry.file_size + 1)
    except Exception:  # noqa: BLE001 -- parsers raise whatever they stumble over
        content = b""
    if len(content) != entry.file_size:
        raise BadRequest(f"The archive's file {_shown(entry)} is damaged.")
    return content


def write(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return named files as an archive; nothing is compressed, since images are already."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content)  # without a time: equal answers are equal bytes
    return packed.getvalue()
