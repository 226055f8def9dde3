"""Refusals in the shape of the protocol they answer to."""

import json
from typing import Any

import pytest
from starlette.types import Scope

from service.errors import (
    InferenceFailed,
    InvalidField,
    MethodNotAllowed,
    OperationNotOffered,
    QueueFull,
    ServiceError,
    UnknownModel,
)
from service.http.error_responses import PROBLEM_JSON, error_response

FIELD = InvalidField.at(("body", "images", 3), "too wide")


def refused(error: ServiceError, path: str) -> tuple[int, str, Any]:
    scope: Scope = {"type": "http", "path": path, "state": {"request_id": "7"}}
    found = error_response(error, scope)
    return found.status_code, found.media_type or "", json.loads(bytes(found.body))


@pytest.mark.parametrize("path", ["/encode", "/v10", "/v2x", "/", "/remote-vae/m/decode"])
def test_most_are_problem_documents(path: str):
    status, media_type, members = refused(FIELD, path)
    assert (status, media_type) == (422, PROBLEM_JSON)
    assert members == FIELD.problem("7")


@pytest.mark.parametrize("path", ["/v2", "/v2/models/m/infer"])
def test_the_inference_protocol_has_one_member(path: str):
    assert refused(FIELD, path) == (422, "application/json", {"error": FIELD.detail})


@pytest.mark.parametrize(
    ("error", "status", "kind", "param"),
    [
        (FIELD, 400, "invalid_request_error", "images.3"),
        (OperationNotOffered(), 400, "invalid_request_error", None),
        (UnknownModel(), 404, "invalid_request_error", None),
        (QueueFull(), 429, "invalid_request_error", None),
        (InferenceFailed(), 500, "server_error", None),
    ],
)
def test_openais_clients_find_the_field_and_are_not_told_to_ask_again_in_vain(
    error: ServiceError, status: int, kind: str, param: str | None
):
    found, _, members = refused(error, "/v1/embeddings")
    expected = {"message": error.detail, "type": kind, "param": param, "code": error.code.replace("-", "_")}
    assert (found, members) == (status, {"error": expected})


@pytest.mark.parametrize("path", ["/encode", "/v1/models", "/v2/models/m"])
def test_headers_go_with_the_answer(path: str):
    scope: Scope = {"type": "http", "path": path, "state": {"request_id": "7"}}
    found = error_response(MethodNotAllowed(headers={"Allow": "POST"}), scope)
    assert found.headers["allow"] == "POST"


def test_an_error_keeps_nothing_alive_that_it_came_through():
    with pytest.raises(InferenceFailed) as raised:
        raise InferenceFailed
    refused(raised.value, "/encode")
    assert raised.value.__traceback__ is None
