"""multipart/form-data bodies, parsed in memory: the body limit bounds them, and nothing touches the disk.

request_bodies -> here -> the images and the options of a form
"""

from __future__ import annotations

import base64
import binascii
import io
import quopri
from collections.abc import Callable, Collection, Iterable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import BadRequest, InvalidField
from service.media import base64_text

IMAGES = "images"
IMAGE_NAMES = frozenset(
    name + end for name in (b"images", b"image", b"files", b"file") for end in (b"", b"[]")
)
"""What forms call the parts that hold images."""

ADVICE = f"an image belongs in a part named {IMAGES}"
MAX_OPTIONS = 32
MAX_OPTION_BYTES = 1024
"""More than any option has; without a limit one could be as large as the body, and dear to read."""

TOO_MANY = "The form has too many fields."
NOT_A_FORM = "The body is not a multipart/form-data form."

PIECE_BYTES = 1 << 20
"""Of a form that begins behind some text, which is parsed in pieces, since without it would be a copy."""

DECODERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"": bytes,
    b"7bit": bytes,
    b"8bit": bytes,
    b"binary": bytes,
    b"base64": base64.b64decode,
    b"quoted-printable": quopri.decodestring,
}
"""By Content-Transfer-Encoding, which browsers do not send and old clients may."""


class Form:
    """What a form carries: its images in order, files or data URLs, and everything else as text.

    An image input that was left empty is passed over. The parser calls it as it goes; nothing of the form
    is in memory twice but the part that is read.
    """

    def __init__(self, max_images: int, unused: Collection[bytes] = ()) -> None:
        """Start empty; more than `max_images` are refused; of parts in `unused` only names are kept."""
        self.unused: set[bytes] = set()
        self.images: list[bytes | str] = []
        self.options: list[tuple[str, str]] = []
        self.whole = False
        self._max_images = max_images
        self._without_content = unused
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._header = self._value = b""
        self._content = io.BytesIO()

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._max_images + MAX_OPTIONS:  # also of those that are passed over
            raise BadRequest(TOO_MANY)
        self._headers, self._content = {}, io.BytesIO()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._content.write(memoryview(data)[start:end])
        if self._content.tell() > MAX_OPTION_BYTES and self._is_option():
            raise BadRequest(
                f"A field of the form other than an image may have {MAX_OPTION_BYTES} bytes; {ADVICE}."
            )

    def on_part_end(self) -> None:
        coding = self._headers.get(b"content-transfer-encoding", b"").strip().lower()
        try:
            content = DECODERS[coding](self._content.getvalue())
        except (KeyError, binascii.Error):
            raise BadRequest(NOT_A_FORM) from None
        name = self._field(b"name")
        if not name:
            raise BadRequest("A part of the form has no name.")
        if self._is_option():
            self._add_option(name, content)
        elif content or self._field(b"filename"):
            self._add_file(name, content)

    def on_end(self) -> None:
        self.whole = True

    def _field(self, name: bytes) -> bytes:
        """Return a parameter of the part's Content-Disposition."""
        disposition = self._headers.get(b"content-disposition", b"")
        return parse_options_header(disposition)[1].get(name, b"")

    def _is_option(self) -> bool:
        name = self._field(b"name")
        return name not in IMAGE_NAMES and name not in self._without_content

    def _add_file(self, name: bytes, content: bytes) -> None:
        if name in self._without_content:
            self.unused.add(name)
            return
        if len(self.images) == self._max_images:
            raise InvalidField.at(("body", IMAGES), f"at most {self._max_images} in one request")
        self.images.append(_ascii(content) if base64_text.is_data_url(content) else content)

    def _add_option(self, name: bytes, content: bytes) -> None:
        if len(self.options) == MAX_OPTIONS:
            raise BadRequest(TOO_MANY)
        try:
            self.options.append((name.decode(), content.decode()))
        except UnicodeDecodeError:
            raise BadRequest(f"A field of the form is not UTF-8 text; {ADVICE}.") from None


def _ascii(url: bytes) -> str:
    """Return a data URL as text, in which what is not ASCII will be no base64 either."""
    return url.decode("ascii", "replace")


def read(raw: bytes, content_type: str, max_images: int, unused: Collection[bytes] = ()) -> Form:
    """Return the parts of a form, but of those named in `unused` only that they are there.

    Raises:
        BadRequest: it is broken, cut off, without boundary, or its options are not text.
        InvalidField: it has more images than `max_images`.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise BadRequest("The Content-Type multipart/form-data lacks its boundary; let the client set it.")
    form = Form(max_images, unused)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.on_part_begin,
                "on_part_data": form.on_part_data,
                "on_part_end": form.on_part_end,
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_end": form.on_end,
            },
        )
        for piece in _pieces(raw, boundary):
            parser.write(piece)
        parser.finalize()
    except FormParserError:
        raise BadRequest(NOT_A_FORM) from None
    if not form.whole:
        raise BadRequest("The multipart/form-data form is cut off.")
    return form


def _pieces(raw: bytes, boundary: bytes) -> Iterable[bytes]:
    """Return a form without the text before its first boundary, which RFC 2046 has readers pass over."""
    edge = b"--" + boundary
    start = 0 if raw.startswith(edge) else raw.find(b"\n" + edge) + 1
    return (raw[at : at + PIECE_BYTES] for at in range(start, len(raw), PIECE_BYTES)) if start else (raw,)
