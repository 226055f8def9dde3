"""Base64 in the forms that clients write it in, and what is not base64."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.media import base64_text

RAW = bytes(range(256)) * 3 + b"\xfb\xff\xfe"
LONG = RAW * 4000
"""Its text is read in several pieces."""


def folded(text: str, width: int, end: str) -> str:
    return end.join(text[at : at + width] for at in range(0, len(text), width))


def forms(raw: bytes) -> list[str]:
    plain, url_safe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    return [
        plain,
        plain.rstrip("="),
        url_safe,
        url_safe.rstrip("="),
        folded(plain, 76, "\r\n") + "\r\n",
        folded(plain, 64, "\n"),
        base64.encodebytes(raw).decode(),
        f"data:image/png;base64,{plain}",
        f"DATA:image/png;name=a.png;BASE64,{folded(url_safe, 76, chr(10))}",
    ]


@pytest.mark.parametrize("end", [0, 1, 2, 3])
@pytest.mark.parametrize("raw", [RAW, LONG], ids=["short", "long"])
def test_every_way_to_write_it_gives_the_same_bytes(raw: bytes, end: int):
    raw = raw[: len(raw) - end]
    assert all(base64_text.decode(text) == raw for text in forms(raw))


@given(st.binary(max_size=64), st.integers(1, 9))
def test_line_breaks_may_be_anywhere(raw: bytes, width: int):
    assert base64_text.decode(folded(base64.b64encode(raw).decode(), width, "\n")) == raw


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "QQ==QQ==",
        "Q=Q=",
        "=QQ=",
        "a b=",
        "QU ID",
        "QUJ%",
        "Q\u00e4==",
        "/etc/passwd\x00",
        "http://example.com/a",
    ],
)
def test_what_is_not_base64_is_refused(text: str):
    with pytest.raises(ValueError, match=r"^Input should be base64 or a data URL$"):
        base64_text.decode(text)


def test_padding_before_the_end_is_refused_in_every_piece():
    piece = "QUJD" * (base64_text.PIECE // 4)
    assert base64_text.decode(piece * 2 + "QQ==") == b"ABC" * (base64_text.PIECE // 2) + b"A"
    for text in (piece[:-4] + "QQ==" + piece, piece[:-4] + "QQ==" + "QQ", piece[:-2] + "\n==" + piece):
        with pytest.raises(ValueError, match="base64"):
            base64_text.decode(text)


@pytest.mark.parametrize("text", ["data:,x", "data:x", "data:image/png;base64", "data:image/png,QUJD"])
def test_a_data_url_that_is_not_base64_is_refused_with_its_form(text: str):
    with pytest.raises(ValueError, match=r"data:image/\.\.\.;base64"):
        base64_text.decode(text)
