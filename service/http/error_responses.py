"""Refusals in the shape of the protocol they answer to: the path says which.

ServiceError, scope -> error_response -> application/problem+json, or what the clients of /v1 and /v2 read
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Scope

from service.errors import InvalidField, OperationNotOffered, ServiceError
from service.observability import traces

PROBLEM_JSON = "application/problem+json"

OPENAI, INFERENCE = "/v1", "/v2"


def error_response(error: ServiceError, scope: Scope) -> Response:
    """Return the answer to a request that is refused."""
    error.forget_origin()
    traces.refuse(error)
    path = scope["path"]
    if _is_under(path, INFERENCE):
        return _json({"error": error.detail}, error.status, error)
    if _is_under(path, OPENAI):
        # Its clients take 409 for a lock that will be gone soon, and ask again.
        status = 400 if isinstance(error, (InvalidField, OperationNotOffered)) else error.status
        return _json({"error": _openai(error, status)}, status, error)
    return problem_response(error, scope["state"]["request_id"])


def problem_response(error: ServiceError, request_id: str) -> Response:
    """Return the error as an application/problem+json response."""
    content = orjson.dumps(error.problem(request_id))
    return Response(content, error.status, error.headers, media_type=PROBLEM_JSON)


def _is_under(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _openai(error: ServiceError, status: int) -> dict[str, Any]:
    """Return the error as OpenAI's clients know it."""
    field = ".".join(map(str, error.fields[0].loc[1:])) if error.fields else ""
    return {
        "message": error.detail,
        "type": "server_error" if status >= 500 else "invalid_request_error",
        "param": field or None,
        "code": error.code.replace("-", "_"),
    }


def _json(content: dict[str, Any], status: int, error: ServiceError) -> Response:
    return Response(orjson.dumps(content), status, error.headers, media_type="application/json")
