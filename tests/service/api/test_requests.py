"""Schemas: what a JSON body may say. Bounds come in pairs: just under passes, just over fails."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from service.api.requests import DecodeRequest, EncodeRequest, GenerateRequest, TranslateRequest
from service.api.responses import Problem
from service.api.validation import MAX_JSON_SIGNS, parse_json
from service.errors import BadRequest, BodyTooLarge, InvalidField, ServiceError
from service.latent_space.sampling import MAX_SEED


def refuse(schema: type[BaseModel], raw: str | bytes) -> ServiceError:
    """Return the refusal of a body."""
    with pytest.raises(ServiceError) as refusal:
        parse_json(schema, raw.encode() if isinstance(raw, str) else raw)
    return refusal.value


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e400", "null", "true", '"1"', "[]", "{}"]
)
@pytest.mark.parametrize("field", ["seed", "count", "truncation"])
def test_what_is_no_number_is_422(field: str, value: str) -> None:
    error = refuse(GenerateRequest, f'{{"{field}": {value}}}')
    assert isinstance(error, InvalidField)
    assert error.fields[0].loc == ("body", field)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e400", "null", "true", '"1"', "[]"])
def test_what_is_no_number_in_latents_is_422(value: str) -> None:
    error = refuse(DecodeRequest, f'{{"latents": [[0.5, {value}]]}}')
    assert isinstance(error, InvalidField)
    assert error.fields[0].loc == ("body", "latents", 0, 1)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("seed", 0, -1),
        ("seed", MAX_SEED, MAX_SEED + 1),
        ("count", 1, 0),
        ("truncation", 2, 2.0000001),
        ("truncation", 5e-324, 0),
        ("labels", [0], []),
        ("model", "m" * 256, "m" * 257),
        ("label", "m" * 256, "m" * 257),
        ("label", 1, 1.5),
        ("count", 1, 1.5),
        ("seed", 1, 1e300),
        ("return_latents", True, 1),
    ],
)
def test_bounds_of_generate(field: str, good: Any, bad: Any) -> None:
    assert getattr(parse_json(GenerateRequest, json.dumps({field: good}).encode()), field) == good
    error = refuse(GenerateRequest, json.dumps({field: bad}))
    assert isinstance(error, InvalidField)
    assert error.fields[0].loc == ("body", field)


@pytest.mark.parametrize("field", ["seed", "count", "label"])
def test_a_whole_number_with_a_point_is_an_integer(field: str) -> None:
    value = getattr(parse_json(GenerateRequest, b'{"%s":4.0}' % field.encode()), field)
    assert (value, type(value)) == (4, int)


@pytest.mark.parametrize("raw", ['{"seed":-1}', '{"seed":-1.0}', '{"seed":-9007199254740993}'])
def test_a_negative_seed_is_told_how_one_is_drawn(raw: str) -> None:
    assert (
        refuse(GenerateRequest, raw).detail
        == "body.seed: Input should be 0 or more; leave seed out to draw one"
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff",
        b"'a'",
        b"[" * 100_000,
        b'{"labels":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"seed":' + b"1" * 1_000_000 + b"}",
        b'{"label":"\\ud800"}',
    ],
    ids=["empty", "cut", "not UTF-8", "not JSON", "deep", "deep inside", "million digits", "lone surrogate"],
)
def test_what_is_no_json_is_400(raw: bytes) -> None:
    error = refuse(GenerateRequest, raw)
    assert isinstance(error, BadRequest)
    assert len(error.detail) < 200


@pytest.mark.parametrize(
    ("item", "signs"),
    [("1", 1), ('"k":1', 2), ("[]", 2), ("{}", 2)],
    ids=["numbers", "keys", "lists", "objects"],
)
def test_more_values_than_validate_quickly_are_413(item: str, signs: int) -> None:
    count = MAX_JSON_SIGNS // signs - 1
    opening, closing = ("{", "}") if ":" in item else ("[", "]")

    def body(values: int) -> str:
        return opening + ",".join([item] * values) + closing

    assert refuse(DecodeRequest, body(count)).status == 422
    assert isinstance(refuse(DecodeRequest, body(count + 2)), BodyTooLarge)


def test_the_last_of_duplicate_keys_counts() -> None:
    assert parse_json(GenerateRequest, b'{"seed": 1, "seed": 2}').seed == 2


def test_a_body_that_is_no_object_is_422() -> None:
    assert refuse(GenerateRequest, "[]").detail == "body: Input should be a JSON object"


def test_unknown_fields_are_refused_without_repeating_them() -> None:
    error = refuse(GenerateRequest, '{"sead": 1}')
    assert "sead" not in error.detail
    assert "seed" in error.detail


def test_refusals_stay_small() -> None:
    error = refuse(GenerateRequest, json.dumps({f"field {i}": i for i in range(10_000)}))
    assert len(json.dumps(error.problem("id"))) < 4096
    error = refuse(DecodeRequest, json.dumps({"latents": [["x"] * 1000] * 100}))
    assert len(error.fields) == 1


def test_label_and_labels_exclude_each_other() -> None:
    assert "exclude" in refuse(GenerateRequest, '{"label": 1, "labels": [1]}').detail


def test_labels_set_the_count() -> None:
    assert parse_json(GenerateRequest, b'{"labels": [1, "Bag", 2]}').size == 3
    assert parse_json(GenerateRequest, b'{"labels": [1, 2], "count": 2}').size == 2
    assert "count" in refuse(GenerateRequest, '{"labels": [1, 2], "count": 3}').detail


def test_one_image_is_drawn_unless_told_otherwise() -> None:
    assert parse_json(GenerateRequest, b"{}").size == 1


def test_a_seed_without_sample_is_refused() -> None:
    assert parse_json(EncodeRequest, b'{"images": ["x"], "sample": true, "seed": 1}').seed == 1
    assert "sample" in refuse(EncodeRequest, '{"images": ["x"], "seed": 1}').detail


@pytest.mark.parametrize("schema", [EncodeRequest, TranslateRequest])
def test_images_are_needed(schema: type[BaseModel]) -> None:
    assert refuse(schema, "{}").status == 422
    assert refuse(schema, '{"images": []}').status == 422
    assert refuse(schema, '{"images": [1]}').status == 422


def test_documented_defaults_are_not_null() -> None:
    for schema in (EncodeRequest, GenerateRequest, TranslateRequest, DecodeRequest):
        assert "null" not in json.dumps(schema.model_json_schema())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["model", "label", "labels", "count", "seed", "truncation", "return_latents", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_any_json_is_taken_or_refused(body: dict[str, Any]) -> None:
    try:
        parsed = parse_json(GenerateRequest, json.dumps(body).encode())
    except (BadRequest, InvalidField) as error:
        Problem.model_validate(error.problem("id"))
    else:
        assert parsed.size >= 1


def test_a_byte_order_mark_is_passed_over_once() -> None:
    assert parse_json(GenerateRequest, b'\xef\xbb\xbf{"count": 2}').count == 2
    assert isinstance(refuse(GenerateRequest, b'\xef\xbb\xbf\xef\xbb\xbf{"count": 2}'), BadRequest)
