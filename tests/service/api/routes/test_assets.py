"""Files of our pages, sent in pieces, and the headers of the pages."""

import asyncio
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message

from service.api.routes.assets import PIECE_BYTES, Assets, last_segment, page_headers
from support.in_process import make_app, make_request

CONTENT = bytes(3 * PIECE_BYTES + 1)


async def get(folder: Path, path: str, **headers: str) -> list[Message]:
    app = Starlette(routes=[Mount("/files", Assets(directory=folder))])
    sent: list[Message] = []

    async def receive() -> Message:
        return await asyncio.Future()  # the client stays

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "root_path": ""}
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await app(scope | {"headers": given}, receive, send)
    return sent


async def test_a_file_comes_in_pieces_of_which_one_is_held(tmp_path: Path):
    (tmp_path / "a.js").write_bytes(CONTENT)
    start, *pieces = await get(tmp_path, "/files/a.js")
    assert max(len(one["body"]) for one in pieces) == PIECE_BYTES
    assert b"".join(one["body"] for one in pieces) == CONTENT
    assert (b"x-content-type-options", b"nosniff") in start["headers"]


async def test_a_file_that_has_not_changed_is_not_sent_again(tmp_path: Path):
    (tmp_path / "a.js").write_bytes(CONTENT)
    start, *_ = await get(tmp_path, "/files/a.js")
    etag = dict(start["headers"])[b"etag"].decode()
    again, *rest = await get(tmp_path, "/files/a.js", if_none_match=etag)
    assert again["status"] == 304
    assert b"".join(one.get("body", b"") for one in rest) == b""


@pytest.mark.parametrize(("path", "end"), [("/docs", "docs"), ("/docs/", ""), ("/a/b", "b"), ("/", "")])
def test_links_are_relative_to_what_the_address_ends_with(path: str, end: str):
    assert last_segment(make_request(path=path)) == end


@pytest.mark.parametrize(
    ("settings", "ancestors"),
    [
        ({}, "'none'"),
        (
            {"frame_ancestors": ["https://a.example", "https://b.example"]},
            "https://a.example https://b.example",
        ),
    ],
)
def test_a_page_says_what_it_loads_and_who_may_frame_it(settings: dict[str, list[str]], ancestors: str):
    headers = page_headers(make_request(app=make_app(**settings)), "default-src 'self'")
    policy = f"default-src 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    assert headers["Content-Security-Policy"] == policy
    assert headers["X-Content-Type-Options"] == "nosniff"
