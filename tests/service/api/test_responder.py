"""Answers, once or as a stream of lines."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest
from starlette.types import Message

from service.api import responder
from service.api.dependencies import exchange
from service.api.payload import Members, OutputImages
from service.api.rendering import OF_IMAGES, OF_LATENTS
from service.api.responder import IN_PLACE_VALUES, Responder
from service.errors import InferenceFailed, NotAcceptable
from support.in_process import REQUEST_ID, make_request
from support.tiny_checkpoints import tiny_manifest

MANIFEST = tiny_manifest(name="tiny", version=3)
ENVELOPE = {"model": "tiny", "version": 3, "request_id": REQUEST_ID}
LINES = {"accept": "application/x-ndjson"}


def images(count: int, side: int = 8) -> OutputImages:
    return OutputImages(np.zeros((count, 1, side, side), np.float32), MANIFEST.image)


async def sent(response: Any) -> list[Message]:
    messages: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nothing more is read")

    async def send(message: Message) -> None:
        messages.append(message)

    await response({"type": "http"}, receive, send)
    return messages


async def test_an_answer_has_the_models_name_and_the_request_s():
    answer = await Responder(make_request(), OF_LATENTS).once(MANIFEST, {"latents": [[1.0]]})
    assert json.loads(bytes(answer.body)) == {**ENVELOPE, "latents": [[1.0]]}
    assert answer.headers["content-type"] == "application/json"
    assert "x-latent-model" not in answer.headers


async def test_an_answer_that_is_a_file_has_them_in_headers():
    asked = make_request(headers={"accept": "image/png"})
    answer = await Responder(asked, OF_IMAGES).once(MANIFEST, {"images": images(1), "seeds": [7]})
    assert bytes(answer.body).startswith(b"\x89PNG")
    assert [answer.headers[f"x-latent-{name}"] for name in ("model", "version", "seeds")] == [
        "tiny",
        "3",
        "7",
    ]


async def test_many_images_are_encoded_in_a_thread_to_the_same():
    side = 64
    many = IN_PLACE_VALUES // side**2 + 1
    asked = make_request(headers={"accept": "application/x-npy"})
    answer = await Responder(asked, OF_IMAGES).once(MANIFEST, {"images": images(many, side)})
    assert len(answer.body) > many * side**2


def test_what_nobody_offers_is_refused_before_anything_is_computed():
    with pytest.raises(NotAcceptable):
        Responder(make_request(headers={"accept": "image/png"}), OF_LATENTS)


async def test_a_stream_sends_lines_as_they_are_made():
    request, made = make_request(headers=LINES), []

    async def answers() -> AsyncGenerator[Members, None]:
        for seed in (7, 9):
            made.append(seed)
            yield {"images": images(2), "seeds": [seed, seed + 1], "shape": [4]}

    respond = Responder(request, OF_IMAGES)
    assert respond.streams
    response = respond.stream(MANIFEST, answers())
    assert exchange(request).is_stream
    assert made == []
    start, *bodies = await sent(response)
    assert start["status"] == 200
    assert (b"x-latent-model", b"tiny") in start["headers"]
    assert [body.get("more_body", False) for body in bodies] == [True, True, False]
    lines = [json.loads(line) for line in b"".join(body["body"] for body in bodies).splitlines()]
    assert [one["seed"] for one in lines[:-1]] == [7, 8, 9, 10]
    assert [one["index"] for one in lines[:-1]] == [0, 1, 2, 3]
    assert lines[-1] == {"done": {"count": 4, **ENVELOPE, "shape": [4]}}


async def test_what_fails_before_the_first_line_leaves_nothing_sent_and_the_stream_is_closed():
    closed = False

    async def answers() -> AsyncGenerator[Members, None]:
        nonlocal closed
        try:
            raise InferenceFailed
            yield {}
        finally:
            closed = True

    response = Responder(make_request(headers=LINES), OF_IMAGES).stream(MANIFEST, answers())
    with pytest.raises(InferenceFailed):
        await sent(response)
    assert closed


async def test_a_client_that_leaves_closes_what_makes_the_lines():
    closed = False

    async def answers() -> AsyncGenerator[Members, None]:
        nonlocal closed
        try:
            while True:
                yield {"images": images(1)}
        finally:
            closed = True

    async def gone(_: Message) -> None:
        raise OSError("gone")

    response = Responder(make_request(headers=LINES), OF_IMAGES).stream(MANIFEST, answers())
    with pytest.raises(OSError, match="gone"):
        await response({"type": "http"}, gone, gone)  # type: ignore[arg-type]
    assert closed


def test_an_answer_that_is_not_a_models_has_its_request_id_alone():
    answer = responder.json_response(make_request(), {"status": "live"})
    assert json.loads(bytes(answer.body)) == {"status": "live", "request_id": REQUEST_ID}
