"""The requests of one call, as a generator that yields them and is sent their answers.

    operations -> Steps -> clients (send each, wait and send again if asked to) -> answers -> operations

What a call asks and how it reads the answers is written once; sending is all that Client and AsyncClient do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

import httpx
from opentelemetry.propagate import inject

from service.client.problems import PROBLEM

AGAIN = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
LOST = (httpx.codes.INTERNAL_SERVER_ERROR, httpx.codes.BAD_GATEWAY, httpx.codes.GATEWAY_TIMEOUT)
"""What a proxy answers where the service behind it went away; the service's own answers say more."""
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
"""Where an answer does not say how long to wait, it is twice as long each time, up to this."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Request:
    """One request."""

    method: str
    path: str
    json: Mapping[str, Any] | None = None
    array: bytes | None = None
    """The body instead of `json`: an .npy file."""
    accept: str = "application/json"
    params: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Return it as httpx's `request` takes it, with the context of the span that is active, if one is."""
        said: dict[str, Any] = {"method": self.method, "url": self.path, "params": self.params}
        headers = {"accept": self.accept}
        inject(headers)
        if self.array is None:
            return said | {"json": self.json, "headers": headers}
        return said | {"content": self.array, "headers": headers | {"content-type": "application/x-npy"}}


Steps = Generator[Request, dict[str, Any], Result]
"""Yields requests, is sent the members of their answers, and returns what they amount to."""


@dataclass(frozen=True)
class Stream(Generic[Result]):
    """A request that is answered line by line, and how to read the line of an image."""

    request: Request
    read: Callable[[dict[str, Any]], Result]


@dataclass(frozen=True)
class Limits:
    """What the service takes in one request."""

    max_images: int
    max_count: int
    max_body_bytes: int


@dataclass
class Session:
    """What the calls of one client share."""

    progress: bool
    """Show a bar for every call of more than one request."""
    limits: Limits | None = None
    """Asked for when a call may need more than one request."""


def limits(session: Session) -> Steps[Limits]:
    """Return the limits of the service, asked for once."""
    if session.limits is None:
        found = (yield Request("GET", "/models"))["limits"]
        session.limits = Limits(found["max_images"], found["max_count"], found["max_body_bytes"])
    return session.limits


def pause_s(response: httpx.Response, tries: int, end_s: float) -> float | None:
    """Return how many seconds to wait before sending again; None if that is of no use.

    `tries` counts the answers up to this one. Nothing is sent behind `end_s`, a time of `time.monotonic()`.
    """
    if not _asks_for_more(response):
        return None
    said = _retry_after_s(response.headers.get("retry-after", ""))
    seconds = min(FIRST_PAUSE_S * 2 ** (tries - 1), LONGEST_PAUSE_S) if said is None else said
    return seconds if time.monotonic() + seconds < end_s else None


def _asks_for_more(response: httpx.Response) -> bool:
    """Say whether sending again may help; it does no harm, since no request changes the service."""
    lost = response.status_code in LOST and response.headers.get("content-type") != PROBLEM
    return lost or response.status_code in AGAIN


def _retry_after_s(text: str) -> float | None:
    """Read a Retry-After header: seconds, or a date."""
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
