"""Forms: images and options as clients write them, and what is refused."""

import base64

import pytest

from service.errors import BadRequest, InvalidField, ServiceError
from service.media import multipart
from service.media.multipart import MAX_OPTION_BYTES, MAX_OPTIONS, Form

TYPE = "multipart/form-data; boundary=edge"
MAX_IMAGES = 3


def part(content: bytes, name: str = "images", *headers: str) -> bytes:
    lines = [f'Content-Disposition: form-data; name="{name}"', *headers, "", ""]
    return b"--edge\r\n" + "\r\n".join(lines).encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--edge--\r\n"


def read(*parts: bytes) -> Form:
    return multipart.read(form(*parts), TYPE, MAX_IMAGES)


def refused(raw: bytes, content_type: str = TYPE) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        multipart.read(raw, content_type, MAX_IMAGES)
    return refusal.value


def test_images_and_options_come_in_their_order():
    found = read(part(b"one"), part("größe".encode(), "model"), part(b"two"), part(b"7", "seed"))
    assert found.images == [b"one", b"two"]
    assert found.options == [("model", "größe"), ("seed", "7")]


def test_an_image_holds_any_bytes_but_the_boundary():
    content = bytes(range(256)) * 100 + b"\r\n--edg\r\n"
    assert read(part(content)).images == [content]


def test_the_most_images_pass_and_one_more_is_refused():
    assert len(read(*[part(b"x")] * MAX_IMAGES).images) == MAX_IMAGES
    error = refused(form(*[part(b"x")] * (MAX_IMAGES + 1)))
    assert isinstance(error, InvalidField)
    assert error.fields[0] == (("body", "images"), "at most 3 in one request")


def test_the_most_options_pass_and_one_more_is_refused():
    assert len(read(*[part(b"", "seed")] * MAX_OPTIONS).options) == MAX_OPTIONS
    assert "too many fields" in refused(form(*[part(b"", "seed")] * (MAX_OPTIONS + 1))).detail


def test_an_option_of_the_most_bytes_passes_and_a_longer_one_is_refused():
    assert read(part(b"x" * MAX_OPTION_BYTES, "model")).options == [("model", "x" * MAX_OPTION_BYTES)]
    assert f"may have {MAX_OPTION_BYTES} bytes" in refused(form(part(b"x" * 1025, "model"))).detail
    assert len(read(part(b"x" * (MAX_OPTION_BYTES + 1))).images[0]) == MAX_OPTION_BYTES + 1


@pytest.mark.parametrize(
    ("coding", "sent"),
    [
        ("base64", base64.b64encode(b"a=b")),
        ("BASE64 ", base64.b64encode(b"a=b")),
        ("quoted-printable", b"a=3Db"),
        ("binary", b"a=b"),
        ("8bit", b"a=b"),
    ],
)
def test_old_transfer_encodings_are_undone(coding: str, sent: bytes):
    assert read(part(sent, "images", f"Content-Transfer-Encoding: {coding}")).images == [b"a=b"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"--other\r\n",
        form(part(b"a", "images", "Content-Transfer-Encoding: gzip")),
        form(part(b"a", "images", "Content-Transfer-Encoding: base64")),
        form(b"--edge\r\nContent-Disposition: form-data\r\n\r\nx\r\n"),
        form(b"--edge\r\n\r\nx\r\n"),
        form(part(b"\xff", "model")),
        form(b'--edge\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n'),
    ],
    ids=[
        "empty",
        "no form",
        "another boundary",
        "unknown encoding",
        "broken base64",
        "no name",
        "no headers",
        "option of bytes",
        "name of bytes",
    ],
)
def test_what_is_no_form_is_400(raw: bytes):
    assert isinstance(refused(raw), BadRequest)


def test_a_form_cut_off_anywhere_is_refused():
    whole = form(part(b"one"), part(b"7", "seed"))
    end = whole.rindex(b"--") + 2
    multipart.read(whole[:end], TYPE, MAX_IMAGES)
    for length in range(end):
        assert isinstance(refused(whole[:length]), BadRequest)


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_without_a_boundary_it_says_who_sets_it(content_type: str):
    assert "let the client set it" in refused(form(part(b"x")), content_type).detail


@pytest.mark.parametrize("name", ["image", "image[]", "images[]", "file", "file[]", "files", "files[]"])
def test_an_image_may_have_another_usual_name(name: str):
    assert read(part(b"x" * 2000, name), part(b"two")).images == [b"x" * 2000, b"two"]


@pytest.mark.parametrize("content", [b"x" * (MAX_OPTION_BYTES + 1), b"\x89PNG"], ids=["long", "short"])
def test_an_image_under_an_unknown_name_is_refused_with_the_right_one(content: bytes):
    assert "belongs in a part named images" in refused(form(part(content, "photo"))).detail


def test_an_empty_file_input_is_passed_over_and_an_empty_file_is_kept():
    assert read(part(b"", 'images"; filename="'), part(b"", "image"), part(b"one")).images == [b"one"]
    assert read(part(b"", 'images"; filename="a.png')).images == [b""]


def test_parts_that_are_passed_over_are_bounded_too():
    most = MAX_IMAGES + MAX_OPTIONS
    assert read(*[part(b"")] * most).images == []
    assert "too many fields" in refused(form(*[part(b"")] * (most + 1))).detail


def test_a_data_url_in_a_part_stays_text():
    url = "data:image/png;base64,QUJD"
    assert read(part(url.encode()), part(b"DATA:\xff")).images == [url, "DATA:\ufffd"]


@pytest.mark.parametrize(
    "preamble", [b"\r\n", b"\n", b"To whom it may concern: --edge is not yet\r\n", b"-\n--ed\n"]
)
def test_text_before_the_first_boundary_is_passed_over(preamble: bytes):
    found = multipart.read(preamble + form(part(b"x" * (3 << 20)), part(b"7", "seed")), TYPE, MAX_IMAGES)
    assert found.images == [b"x" * (3 << 20)]
    assert found.options == [("seed", "7")]


def test_text_after_the_last_boundary_is_passed_over():
    assert multipart.read(form(part(b"one")) + b"\r\nYours", TYPE, MAX_IMAGES).images == [b"one"]
