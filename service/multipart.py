"""multipart/form-data bodies, parsed in memory: the body limit bounds them, and nothing touches the disk.

bodies -> here -> the pictures and the options of a form
"""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from service.errors import BadRequest, InvalidField

PICTURES = "images"
MAX_OPTIONS = 32
MAX_OPTION_BYTES = 1024
"""More than any option has; without a limit one could be as large as the body, and dear to read."""
_IN_MEMORY = {"MAX_MEMORY_FILE_SIZE": float("inf"), "UPLOAD_ERROR_ON_BAD_CTE": True}


class Form:
    """What a form carries: the files named `images` in order, and everything else as text."""

    def __init__(self, max_pictures: int) -> None:
        """Start empty; more than `max_pictures` are refused."""
        self.pictures: list[bytes] = []
        self.options: list[tuple[str, str]] = []
        self.whole = False
        self._max_pictures = max_pictures

    def add_field(self, field: Field) -> None:
        """Take a part without a file name."""
        self._add(field.field_name, field.value or b"")

    def add_file(self, file: File) -> None:
        """Take a part with a file name."""
        file.file_object.seek(0)
        self._add(file.field_name, file.file_object.read())

    def end(self) -> None:
        """Note that the last boundary has come."""
        self.whole = True

    def _add(self, name: bytes | None, value: bytes) -> None:
        if name == PICTURES.encode():
            if len(self.pictures) == self._max_pictures:
                raise InvalidField.at(("body", PICTURES), f"at most {self._max_pictures} in one request")
            self.pictures.append(value)
            return
        if len(self.options) == MAX_OPTIONS:
            raise BadRequest("The form has too many fields.")
        if len(value) > MAX_OPTION_BYTES:
            raise BadRequest(f"A field of the form other than a picture may have {MAX_OPTION_BYTES} bytes.")
        try:
            self.options.append(((name or b"").decode(), value.decode()))
        except UnicodeDecodeError:
            raise BadRequest("A field of the form is not UTF-8 text.") from None


def read(raw: bytes, content_type: str, max_pictures: int) -> Form:
    """Return the parts of a form.

    Raises:
        BadRequest: it is broken, cut off, without boundary, or its options are not text.
        InvalidField: it has more pictures than `max_pictures`.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise BadRequest("The Content-Type multipart/form-data lacks its boundary; let the client set it.")
    form = Form(max_pictures)
    try:
        parser = FormParser(
            "multipart/form-data",
            form.add_field,
            form.add_file,
            form.end,
            boundary=boundary,
            config=_IN_MEMORY,
        )
        parser.write(raw)
        parser.finalize()
    except FormParserError:
        raise BadRequest("The body is not a multipart/form-data form.") from None
    if not form.whole:
        raise BadRequest("The multipart/form-data form is cut off.")
    return form
