"""The path of a request as its route knows it."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.http.paths import Paths


async def known(path: str, prefix: str = "") -> str:
    """Return the path that the application after it sees."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        return None

    await Paths(app, prefix)({"type": "http", "path": path}, receive, send)
    return seen[0]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/", "/"), ("/models", "/models"), ("/models/", "/models"), ("/models//", "/models/"), ("//", "/")],
)
async def test_one_slash_at_the_end_is_taken_off(path: str, expected: str) -> None:
    assert await known(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/b", "/"),
        ("/a/b/", "/"),
        ("/a/b/models", "/models"),
        ("/a/b/models/", "/models"),
        ("/models", "/models"),
        ("/a/bmodels", "/a/bmodels"),
        ("/a", "/a"),
        ("/a/b/a/b/models", "/a/b/models"),
    ],
)
async def test_a_prefix_is_taken_off_once_where_it_is(path: str, expected: str) -> None:
    assert await known(path, "/a/b") == expected
