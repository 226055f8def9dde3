"""Queries as Python's clients write them, and the forms of an answer."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request

from service.checkpoint.manifest import LatentSpec
from service.errors import InvalidField
from service.protocols.remote_vae import messages
from service.protocols.remote_vae.messages import DecodeQuery, EncodeQuery, read_query

SCALED = LatentSpec(shape=(4,), scaling_factor=0.5, shift_factor=0.25)
PIXELS = np.arange(6, dtype=np.uint8).reshape(2, 3)


def query(text: str) -> Request:
    return Request({"type": "http", "query_string": text.encode()})


def test_shape_is_repeated_once_per_axis_and_truth_is_written_as_python_does():
    found = read_query(query("shape=1&shape=4&shape=6&shape=5&dtype=float16&do_scaling=True"), DecodeQuery)
    assert (found.shape, found.dtype, found.do_scaling) == ([1, 4, 6, 5], "float16", True)
    assert (found.output_type, found.image_format, found.partial_postprocess) == ("pil", "jpg", False)


def test_what_is_unknown_is_ignored_and_a_shape_may_be_left_out_of_an_image():
    found = read_query(query("image_type=x&scaling_factor=2"), EncodeQuery)
    assert (found.shape, found.dtype, found.scaling_factor) == (None, "float32", 2.0)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("dtype=float32", "shape"),
        ("shape=1&shape=0&dtype=float32", "shape"),
        ("shape=1&shape=-1&dtype=float32", "shape"),
        ("&".join(["shape=1"] * 6) + "&dtype=float32", "shape"),
        ("shape=1&dtype=int8", "dtype"),
        ("shape=1&dtype=float32&scaling_factor=0", "scaling_factor"),
        ("shape=1&dtype=float32&scaling_factor=nan", "scaling_factor"),
        ("shape=1&dtype=float32&scaling_factor=1e7", "scaling_factor"),
        ("shape=1&dtype=float32&shift_factor=-1e7", "shift_factor"),
        ("shape=1&dtype=float32&height=0", "height"),
        ("shape=1&dtype=float32&image_format=gif", "image_format"),
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(text: str, field: str):
    with pytest.raises(InvalidField) as refusal:
        read_query(query(text), DecodeQuery)
    assert refusal.value.fields[0].loc[:2] == ("query", field)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (1, 0)),
        ({"do_scaling": True}, (0.5, 0.25)),
        ({"do_scaling": True, "shift_factor": 3.0}, (0.5, 3)),
        ({"do_scaling": True, "scaling_factor": 2.0}, (2, 0)),
        ({"scaling_factor": 2.0, "shift_factor": 3.0}, (2, 3)),
    ],
)
def test_the_checkpoints_own_scaling_applies_where_it_is_asked_for(given: Any, expected: tuple[float, float]):
    asked = DecodeQuery(shape=[1, 4], dtype="float32", **given)
    assert messages.scaling(asked, SCALED) == expected


def test_an_encoder_scales_by_what_the_query_says_alone():
    assert messages.scaling(EncodeQuery(), SCALED) == (1, 0)


@pytest.mark.parametrize(("name", "kind"), [("png", "PNG"), ("jpg", "JPEG")])
def test_an_image_is_a_file(name: str, kind: str):
    answer = messages.image_file(PIXELS, name)
    assert answer.media_type == f"image/{kind.lower()}"
    image = Image.open(io.BytesIO(bytes(answer.body)))
    assert (image.format, image.size) == (kind, (3, 2))


def test_a_tensor_has_its_shape_and_type_in_headers():
    numbers = messages.tensor(PIXELS.astype(np.float32), "float16")
    assert (json.loads(numbers.headers["shape"]), numbers.headers["dtype"]) == ([2, 3], "float16")
    assert numbers.body == PIXELS.astype("<f2").tobytes()
    pixels = messages.pixel_tensor(PIXELS[None])
    assert (json.loads(pixels.headers["shape"]), pixels.headers["dtype"]) == ([1, 2, 3], "uint8")
    assert pixels.body == PIXELS.tobytes()
