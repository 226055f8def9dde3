"""What the service refuses, as an exception.

clients -> response -> check -> members of the answer, or ServiceProblem;  line -> check_line -> the same
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

PROBLEM = "application/problem+json"
"""The media type of all that the service itself refuses."""


class FieldProblem(NamedTuple):
    """What is wrong with one field of a request."""

    loc: tuple[str | int, ...]
    """Where it is, such as ("body", "count")."""
    msg: str
    """What is allowed there."""


class ServiceProblem(Exception):
    """The service answered with a problem; `detail` says what to do about it."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        """Keep the members of a problem."""
        self.status = int(said["status"])
        self.code = str(said["code"])
        """What happened, in a word such as `queue-full`."""
        self.title = str(said["title"])
        self.detail = str(said["detail"])
        self.request_id = str(said["request_id"])
        """Under which the service's log has it."""
        self.errors = [FieldProblem(tuple(one["loc"]), one["msg"]) for one in said.get("errors", ())]
        super().__init__(f"{self.status} {self.code}: {self.detail} (request {self.request_id or 'unknown'})")


def check(response: httpx.Response) -> dict[str, Any]:
    """Return the members of an answer.

    Raises:
        ServiceProblem: it is a refusal.
    """
    if response.status_code != httpx.codes.OK:
        raise problem(response)
    members: dict[str, Any] = response.json()
    return members


def check_line(line: str) -> dict[str, Any]:
    """Return the members of one line of a stream.

    Raises:
        ServiceProblem: it is the last one, of a stream that failed.
    """
    members: dict[str, Any] = json.loads(line)
    if "error" in members:
        raise ServiceProblem(members["error"])
    return members


def problem(response: httpx.Response) -> ServiceProblem:
    """Return what an answer that is not 200 says, whoever sent it."""
    if response.headers.get("content-type") == PROBLEM:
        return ServiceProblem(response.json())
    status = response.status_code
    said = {"status": status, "code": f"http-{status}", "title": response.reason_phrase}
    detail = "The answer is not one of the service's own."
    return ServiceProblem({**said, "detail": detail, "request_id": response.headers.get("x-request-id", "")})
