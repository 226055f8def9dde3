"""gzip and deflate: what a body inflates to is limited, and answers are compressed for those who ask."""

import gzip
import zlib

import pytest
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import Message

from service.api.compression import SMALLEST_BYTES, CompressedResponse, inflate
from service.api.dependencies import exchange
from service.errors import BadRequest, BodyTooLarge, QueueFull, UnsupportedMediaType
from support.in_process import make_app, make_request

LIMIT = 5000
TEXT = bytes(range(256)) * 10
PACK = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return make_app(max_body_bytes=LIMIT)


@pytest.mark.parametrize("encoding", PACK)
async def test_a_body_is_inflated_and_counted(app: FastAPI, encoding: str):
    request = make_request(app=app, headers={"Content-Encoding": encoding.upper()})
    assert await inflate(PACK[encoding](TEXT), request) == TEXT
    assert exchange(request).held_bytes == len(TEXT)


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "identity"}, {"Content-Encoding": ""}])
async def test_a_plain_body_stays_as_it_is(app: FastAPI, headers: dict[str, str]):
    assert await inflate(TEXT, make_request(app=app, headers=headers)) is TEXT


@pytest.mark.parametrize("encoding", PACK)
async def test_the_limit_is_that_of_any_body(app: FastAPI, encoding: str):
    request = make_request(app=app, headers={"Content-Encoding": encoding})
    assert len(await inflate(PACK[encoding](bytes(LIMIT)), request)) == LIMIT
    with pytest.raises(BodyTooLarge):
        await inflate(PACK[encoding](bytes(LIMIT + 1)), request)
    with pytest.raises(BodyTooLarge):
        await inflate(PACK[encoding](bytes(10_000_000)), request)


@pytest.mark.parametrize("encoding", PACK)
async def test_a_body_that_is_not_whole_is_refused(app: FastAPI, encoding: str):
    request, packed = make_request(app=app, headers={"Content-Encoding": encoding}), PACK[encoding](TEXT)
    for damaged in (packed[:-1], b"x" + packed, b"", packed[:20] + b"\xff\xff" + packed[22:]):
        with pytest.raises(BadRequest, match=f"not whole {encoding}"):
            await inflate(damaged, request)


async def test_another_compression_is_refused(app: FastAPI):
    with pytest.raises(UnsupportedMediaType, match="gzip or deflate"):
        await inflate(TEXT, make_request(app=app, headers={"Content-Encoding": "br"}))


async def test_what_all_bodies_inflate_to_together_is_limited(app: FastAPI):
    headers = {"Content-Encoding": "gzip"}
    request = make_request(app=app, headers=headers, max_held_bytes=len(TEXT) - 1)
    with pytest.raises(QueueFull):
        await inflate(gzip.compress(TEXT), request)


async def test_a_route_may_set_a_lower_limit(app: FastAPI):
    request = make_request(app=app, headers={"Content-Encoding": "gzip"})
    assert len(await inflate(gzip.compress(bytes(100)), request, 100)) == 100
    with pytest.raises(BodyTooLarge, match="100 bytes"):
        await inflate(gzip.compress(bytes(101)), request, 100)


async def sent(content: bytes, accepted: str | None) -> tuple[Headers, bytes]:
    """Send an answer to a client that takes it compressed, and return its headers and body."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    request = make_request(headers={} if accepted is None else {"Accept-Encoding": accepted})
    await CompressedResponse(content, media_type="text/plain")(request.scope, request.receive, send)
    start, body = messages
    return Headers(raw=start["headers"]), body["body"]


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate", "gzip"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip"),
        ("DEFLATE", "deflate"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip; q=0.000", None),
        ("br", None),
        ("identity", None),
        ("", None),
        (None, None),
    ],
)
async def test_an_answer_is_compressed_for_whoever_takes_it(accepted: str | None, encoding: str | None):
    content = bytes(SMALLEST_BYTES)
    headers, packed = await sent(content, accepted)
    assert headers["vary"] == "Accept-Encoding"
    assert headers.get("content-encoding") == encoding
    assert headers["content-length"] == str(len(packed))
    unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}[encoding]
    assert unpack(packed) == content
    assert (len(packed) < SMALLEST_BYTES) == (encoding is not None)


async def test_a_small_answer_is_not_worth_it():
    headers, packed = await sent(bytes(SMALLEST_BYTES - 1), "gzip")
    assert packed == bytes(SMALLEST_BYTES - 1)
    assert "content-encoding" not in headers
    assert "vary" not in headers
