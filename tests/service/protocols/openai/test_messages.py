"""Requests of OpenAI's API: what each field may hold."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.protocols.openai.messages import MAX_PROMPT, EmbeddingsRequest, ImagesRequest


def images(**members: Any) -> ImagesRequest:
    return ImagesRequest.model_validate({"prompt": "Bag", **members})


@pytest.mark.parametrize(
    ("size", "expected"),
    [("auto", None), (None, None), ("512x256", (512, 256)), ("1x1", (1, 1)), ("9999x9999", (9999, 9999))],
)
def test_a_size_is_auto_or_width_times_height(size: Any, expected: tuple[int, int] | None):
    assert images(size=size).size == expected


@pytest.mark.parametrize(
    "size", ["", "512", "0x5", "05x5", "10000x1", "5x5x5", " 5x5", "5X5", "\u0665x5", 512, [5, 5]]
)
def test_any_other_size_is_refused(size: Any):
    with pytest.raises(ValidationError, match="width x height"):
        images(size=size)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": "x" * (MAX_PROMPT + 1)}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": "1"}, "n"),
        ({"response_format": "url"}, "response_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"stream": True}, "stream"),
        ({"seed": -1}, "seed"),
        ({"truncation": 0}, "truncation"),
    ],
)
def test_what_a_field_may_not_hold_is_refused(members: dict[str, Any], field: str):
    with pytest.raises(ValidationError) as refusal:
        images(**members)
    assert refusal.value.errors()[0]["loc"][0] == field


def test_null_is_as_if_left_out_and_what_is_unknown_is_ignored():
    unset = dict.fromkeys(["model", "n", "size", "response_format", "output_format", "stream", "seed"])
    assert images(**unset, quality="hd", user="someone") == images()
    assert len(images(prompt="x" * MAX_PROMPT).prompt) == MAX_PROMPT


@pytest.mark.parametrize(("given", "expected"), [("a", ["a"]), (["a", "b"], ["a", "b"])])
def test_an_input_is_one_text_or_a_list(given: Any, expected: list[str]):
    assert EmbeddingsRequest.model_validate({"input": given}).input == expected


@pytest.mark.parametrize("given", [[], None, 5, [1, 2], ["a", None], {"a": "b"}])
def test_any_other_input_is_refused(given: Any):
    with pytest.raises(ValidationError, match="an image as a data URL or base64"):
        EmbeddingsRequest.model_validate({"input": given})
