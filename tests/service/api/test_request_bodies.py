"""Bodies of requests: bytes as they come, JSON as a schema, latents as rows."""

from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request

from service.api import request_bodies
from service.api.requests import GenerateRequest
from service.errors import BadRequest, BodyTooLarge, InvalidField, UnsupportedMediaType
from service.media import npy
from support.in_process import MAX_COUNT, make_app, make_request

JSON, NPY = "application/json", "application/x-npy"


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return make_app()


def body(app: FastAPI, *pieces: bytes, kind: str = JSON, **options: Any) -> Request:
    return make_request(*pieces, app=app, headers={"content-type": kind}, **options)


async def test_a_body_is_whole_however_it_comes(app: FastAPI):
    for pieces in ([b"abcdef"], [b"ab", b"", b"cdef"], [b"", b"abcdef"], [b"abcdef", b""]):
        assert await request_bodies.read(body(app, *pieces)) == b"abcdef"
    piece = b"abcdef"
    assert await request_bodies.read(body(app, piece)) is piece


async def test_a_route_may_take_less_than_any_body_may_have(app: FastAPI):
    assert await request_bodies.read(body(app, b"abc", b"def"), 6) == b"abcdef"
    for pieces in ([b"abcdef"], [b"abc", b"def"]):
        with pytest.raises(BodyTooLarge, match="5 bytes"):
            await request_bodies.read(body(app, *pieces), 5)


async def test_a_client_that_hangs_up_has_sent_nothing(app: FastAPI):
    request = body(app, b"abc")
    await request_bodies.read(request)
    with pytest.raises(ClientDisconnect):
        await request_bodies.read(request)


async def test_some_bodies_may_not_be_empty(app: FastAPI):
    with pytest.raises(BadRequest, match="empty"):
        await request_bodies.read_some(body(app, b"", b""))
    assert await request_bodies.read_some(body(app, b"x")) == b"x"


async def test_json_is_read_as_a_schema(app: FastAPI):
    assert (await request_bodies.read_json(body(app, b'{"count": 3}'), GenerateRequest)).size == 3
    large = b'{"count": 3}' + b" " * (1 << 15)  # parsed in a thread
    assert (await request_bodies.read_json(body(app, large), GenerateRequest)).size == 3
    utf8 = body(app, b'{"count": 3}', kind="Application/JSON; charset=utf-8")
    assert (await request_bodies.read_json(utf8, GenerateRequest)).size == 3


async def test_json_has_no_options_beside_it(app: FastAPI):
    with pytest.raises(InvalidField) as refusal:
        await request_bodies.read_json(body(app, b"{}", query={"seed": "7"}), GenerateRequest)
    assert refusal.value.fields[0].loc == ("query",)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "The Content-Type header is missing. Send application/json."),
        ({"content-type": "text/plain"}, "A body of this Content-Type cannot be read here."),
        ({"content-type": "application/x-www-form-urlencoded"}, "add -H 'content-type: application/json'"),
        ({"content-type": JSON, "content-encoding": "br"}, "gzip"),
    ],
)
async def test_another_kind_of_body_is_refused_with_what_to_send(
    app: FastAPI, headers: dict[str, str], message: str
):
    with pytest.raises(UnsupportedMediaType) as refusal:
        await request_bodies.read_json(make_request(b"{}", app=app, headers=headers), GenerateRequest)
    assert message in refusal.value.detail


def test_of_several_kinds_all_are_offered(app: FastAPI):
    with pytest.raises(UnsupportedMediaType, match="Send one of application/json, application/x-npy"):
        request_bodies.media_type(
            make_request(app=app, headers={"content-type": "text/html"}), request_bodies.OF_LATENTS
        )
    identity = {"content-type": NPY, "content-encoding": "Identity"}
    found = request_bodies.media_type(make_request(app=app, headers=identity), request_bodies.OF_LATENTS)
    assert found == NPY


async def test_latents_come_as_json(app: FastAPI):
    options, rows, shape = await request_bodies.read_latents(
        body(app, b'{"latents": [[1, 2], [3, 4]], "model": "m"}')
    )
    assert (options.model, rows, shape) == ("m", [[1, 2], [3, 4]], None)
    _, _, shape = await request_bodies.read_latents(body(app, b'{"latents": [[1, 2]], "shape": [1, 2]}'))
    assert shape == (1, 2)


async def test_latents_come_as_an_array_whose_shape_is_theirs(app: FastAPI):
    array = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    options, rows, shape = await request_bodies.read_latents(
        body(app, npy.write(array), kind=NPY, query={"model": "m"})
    )
    assert options.model == "m"
    assert np.array_equal(rows, array.reshape(2, 6))
    assert shape == (3, 2)
    _, rows, shape = await request_bodies.read_latents(body(app, npy.write(array.reshape(2, 6)), kind=NPY))
    assert (np.shape(rows), shape) == ((2, 6), None)


@pytest.mark.parametrize("kind", [JSON, NPY])
async def test_as_many_latents_as_the_limit_pass_and_one_more_is_refused(app: FastAPI, kind: str):
    def latents(count: int) -> Request:
        array = np.zeros((count, 1), np.float32)
        raw = npy.write(array) if kind == NPY else b'{"latents": %s}' % str(array.tolist()).encode()
        return body(app, raw, kind=kind)

    _, rows, _ = await request_bodies.read_latents(latents(MAX_COUNT))
    assert len(rows) == MAX_COUNT
    with pytest.raises(InvalidField, match=f"at most {MAX_COUNT}") as refusal:
        await request_bodies.read_latents(latents(MAX_COUNT + 1))
    assert refusal.value.fields[0].loc == ("body", "latents")
