"""Errors: the ladder, and the one shape in which it is told."""

import json
from http import HTTPStatus

import pytest

from service import errors
from service.errors import FieldError, InvalidField, QueueFull, ServiceError, UnknownModel
from service.http.error_responses import problem_response


def ladder() -> list[type[ServiceError]]:
    return [ServiceError, *ServiceError.__subclasses__()]


@pytest.mark.parametrize("error", ladder())
def test_every_error_is_told_in_the_one_shape(error: type[ServiceError]) -> None:
    response = problem_response(error(), "some-id")
    assert response.status_code == error.status
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.default_detail,
        "code": error.code,
        "request_id": "some-id",
    }


def test_titles_are_those_of_the_status_codes() -> None:
    renamed = {413: "Content Too Large", 422: "Unprocessable Content"}
    for error in ladder():
        assert error.title == renamed.get(error.status, HTTPStatus(error.status).phrase)


def test_codes_are_unique() -> None:
    codes = [error.code for error in ladder()]
    assert len(set(codes)) == len(codes)


def test_the_docstring_draws_every_rung() -> None:
    drawn = ServiceError.__doc__ or ""
    for error in ladder():
        assert f"{error.status} {error.__name__} " in drawn


def test_fields_are_listed_and_the_first_is_the_detail() -> None:
    error = InvalidField.of([FieldError(("body", "count"), "at most 4"), FieldError(("body", "seed"), "no")])
    problem = json.loads(problem_response(error, "id").body)
    assert problem["detail"] == "body.count: at most 4"
    assert problem["errors"] == [
        {"loc": ["body", "count"], "msg": "at most 4"},
        {"loc": ["body", "seed"], "msg": "no"},
    ]


def test_headers_go_with_the_answer() -> None:
    response = problem_response(QueueFull(headers={"Retry-After": "3"}), "id")
    assert response.headers["retry-after"] == "3"


def test_a_detail_replaces_the_default() -> None:
    assert UnknownModel("gone").detail == "gone"
    assert UnknownModel().detail == UnknownModel.default_detail
    assert errors.UnknownModel("gone").args == ("gone",)


def test_an_unknown_model_is_answered_with_some_of_the_known_names():
    assert str(UnknownModel.among(["a", "b"])) == "There is no such model; known are a, b."
    assert str(UnknownModel.among([])) == UnknownModel.default_detail
    many = UnknownModel.among([f"{number:03}{'x' * 61}" for number in range(300)])
    assert str(many).endswith(", 280 more (GET /models lists all).")
    assert len(json.dumps(many.problem("r" * 128))) < 4096
