"""multipart/form-data bodies, parsed in memory: the body limit bounds them, and nothing touches the disk.

bodies -> here -> the pictures and the options of a form
"""

from __future__ import annotations

from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from service.errors import BadRequest, InvalidField

PICTURES = "images"
MAX_OPTIONS = 32
_IN_MEMORY = {"MAX_MEMORY_FILE_SIZE": float("inf"), "UPLOAD_ERROR_ON_BAD_CTE": True}


class Form(NamedTuple):
    """What a form carries: the files named `images` in order, and everything else as text."""

    pictures: list[bytes]
    options: list[tuple[str, str]]


def read(raw: bytes, content_type: str, max_pictures: int) -> Form:
    """Return the parts of a form.

    Raises:
        BadRequest: it is broken, has no boundary, or its options are not text.
        InvalidField: it has more pictures than `max_pictures`.
    """
    form = Form([], [])
    ended = False

    def end() -> None:
        nonlocal ended
        ended = True

    def add(name: bytes | None, value: bytes) -> None:
        if name == PICTURES.encode():
            if len(form.pictures) == max_pictures:
                raise InvalidField.at(("body", PICTURES), f"at most {max_pictures} in one request")
            form.pictures.append(value)
            return
        if len(form.options) == MAX_OPTIONS:
            raise BadRequest("The form has too many fields.")
        try:
            form.options.append(((name or b"").decode(), value.decode()))
        except UnicodeDecodeError:
            raise BadRequest("A field of the form is not UTF-8 text.") from None

    def add_field(field: Field) -> None:
        add(field.field_name, field.value or b"")

    def add_file(file: File) -> None:
        file.file_object.seek(0)
        add(file.field_name, file.file_object.read())

    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise BadRequest("The Content-Type multipart/form-data lacks its boundary; let the client set it.")
    try:
        parser = FormParser(
            "multipart/form-data", add_field, add_file, end, boundary=boundary, config=_IN_MEMORY
        )
        parser.write(raw)
        parser.finalize()
    except FormParserError:
        raise BadRequest("The body is not a multipart/form-data form.") from None
    if not ended:
        raise BadRequest("The multipart/form-data form is cut off.")
    return form
