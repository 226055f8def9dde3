"""Validation: what is wrong is named by field and rule, and never repeats what was sent."""

from typing import Any

import pytest

from service.api.requests import EncodeOptions, GenerateRequest
from service.api.validation import MAX_JSON_SIGNS, MAX_REPORTED, parse_json, parse_known, parse_options
from service.errors import BadRequest, BodyTooLarge, InvalidField, Location


def fields(work: Any, *arguments: Any) -> list[tuple[Location, str]]:
    with pytest.raises(InvalidField) as refusal:
        work(*arguments)
    return [(field.loc, field.msg) for field in refusal.value.fields]


def test_json_becomes_the_schema():
    assert parse_json(GenerateRequest, b'{"count": 3, "label": "Bag"}').size == 3


@pytest.mark.parametrize(
    ("raw", "loc", "message"),
    [
        (b'{"count": "3"}', ("body", "count"), "Input should be a valid integer"),
        (b'{"count": null}', ("body", "count"), "Input should be a valid integer"),
        (b'{"secret": 1}', ("body",), "Unknown field; known are "),
        (b'["secret"]', ("body",), "Input should be a JSON object"),
        (b'{"truncation": NaN}', ("body", "truncation"), "Input should be a finite number"),
    ],
)
def test_the_place_and_the_rule_are_named(raw: bytes, loc: Location, message: str):
    ((found, said),) = fields(parse_json, GenerateRequest, raw)
    assert found == loc
    assert said.startswith(message)
    assert "secret" not in said


@pytest.mark.parametrize(
    ("where", "part"), [(("body",), "The body"), (("body", 3), "Body.3"), (("request",), "The body")]
)
def test_what_is_not_json_is_said_with_its_place(where: Location, part: str):
    with pytest.raises(BadRequest, match=rf"^{part} is not valid JSON\. .*line 1 column"):
        parse_json(GenerateRequest, b'{"secret', where)


def test_a_refusal_holds_nothing_of_the_input():
    with pytest.raises(InvalidField) as refusal:
        parse_json(GenerateRequest, b'{"label": {"secret": 1}}')
    assert refusal.value.__context__ is None
    assert "secret" not in str(refusal.value)


def test_few_errors_are_reported_of_many():
    raw = b"{%s}" % b",".join(b'"x%d": 1' % i for i in range(100))
    assert len(fields(parse_json, GenerateRequest, raw)) == MAX_REPORTED


def test_a_body_of_too_many_values_is_refused_before_it_is_parsed():
    def labels(count: int) -> bytes:
        return b'{"labels":[%s]}' % b",".join([b"1"] * count)

    most = MAX_JSON_SIGNS - 2  # a colon, a bracket and a brace are signs too
    assert parse_json(GenerateRequest, labels(most)).size == most
    with pytest.raises(BodyTooLarge, match="application/x-npy"):
        parse_json(GenerateRequest, labels(most + 1))


def test_known_values_are_taken_and_others_ignored():
    found = parse_known(EncodeOptions, {"sample": True, "secret": 1}, "parameters")
    assert found.sample
    ((loc, _),) = fields(parse_known, EncodeOptions, {"sample": "yes"}, "parameters")
    assert loc == ("parameters", "sample")


def test_text_of_a_query_is_read_as_json_where_the_field_is_not_text():
    found = parse_options(EncodeOptions, [("sample", "true"), ("seed", "7"), ("model", "7")], "query")
    assert (found.sample, found.seed, found.model) == (True, 7, "7")
    assert parse_options(EncodeOptions, [("model", "null")], "query").model == "null"


@pytest.mark.parametrize(
    ("pairs", "loc"),
    [
        ([("sample", "yes")], ("query", "sample")),
        ([("sample", "True")], ("query", "sample")),
        ([("sample", "")], ("query", "sample")),
        ([("sample", "true"), ("seed", "1.5")], ("query", "seed")),
        ([("sample", "true"), ("seed", "NaN")], ("query", "seed")),
        ([("model", "a"), ("model", "a")], ("query",)),
        ([("secret", "1")], ("query",)),
        ([("seed", "7")], ("query",)),
    ],
)
def test_options_obey_the_rules_of_a_json_body(pairs: list[tuple[str, str]], loc: Location):
    ((found, said),) = fields(parse_options, EncodeOptions, pairs, "query")
    assert found == loc
    assert "secret" not in said
