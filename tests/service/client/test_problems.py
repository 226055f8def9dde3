"""Answers and lines of a stream: their members, or an exception that says all that the refusal does."""

import json
from typing import Any

import httpx
import pytest

from service.client.problems import PROBLEM, FieldProblem, ServiceProblem, check, check_line, problem
from service.errors import InvalidField
from service.http.error_responses import problem_response


def refusal() -> httpx.Response:
    error = InvalidField.at(("body", "images", 3), "too wide")
    found = problem_response(error, "4f1c")
    return httpx.Response(found.status_code, content=bytes(found.body), headers=found.headers)


def test_an_answer_is_its_members():
    assert check(httpx.Response(200, json={"latents": [[1]]})) == {"latents": [[1]]}


def test_a_refusal_of_the_service_is_raised_with_all_that_it_says():
    with pytest.raises(ServiceProblem) as raised:
        check(refusal())
    found = raised.value
    assert (found.status, found.code, found.request_id) == (422, "invalid-field", "4f1c")
    assert found.errors == [FieldProblem(("body", "images", 3), "too wide")]
    assert str(found) == f"422 invalid-field: {found.detail} (request 4f1c)"
    assert found.title


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/html"}, {"content-type": "application/json"}])
def test_what_a_proxy_refuses_is_raised_too(headers: dict[str, str]):
    found = problem(httpx.Response(502, content=b"<html>", headers=headers | {"x-request-id": "7"}))
    assert (found.status, found.code, found.title, found.errors) == (502, "http-502", "Bad Gateway", [])
    assert str(found) == "502 http-502: The answer is not one of the service's own. (request 7)"
    assert "(request unknown)" in str(problem(httpx.Response(404)))


def test_a_redirect_is_no_answer():
    with pytest.raises(ServiceProblem, match="302 http-302"):
        check(httpx.Response(302, headers={"location": "/"}))


def test_a_line_is_its_members_unless_it_is_the_end_of_a_stream_that_failed():
    assert check_line('{"index": 0}') == {"index": 0}
    said: dict[str, Any] = refusal().json()
    with pytest.raises(ServiceProblem, match="422 invalid-field"):
        check_line(json.dumps({"error": said}))


def test_the_media_type_is_that_of_the_service():
    assert refusal().headers["content-type"] == PROBLEM
