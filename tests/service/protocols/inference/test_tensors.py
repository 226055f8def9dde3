"""Tensors of the inference protocol, as JSON lists and as bytes."""

import struct
from typing import Any

import numpy as np
import pytest

from service.errors import InvalidField
from service.protocols.inference import tensors
from service.protocols.inference.tensors import BYTES

PLACE = ("inputs", 0)


def strings(*values: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(one)) + one for one in values)


@pytest.mark.parametrize(
    ("kind", "array"),
    [
        ("FP32", np.array([[1.5, -0.0, 3e38], [1e-45, 0, 7]], np.float32)),
        ("INT64", np.array([[2**63 - 1], [-(2**63)]], np.int64)),
    ],
)
def test_what_is_written_as_bytes_is_read_again(kind: str, array: np.ndarray):
    found = tensors.from_bytes(tensors.to_bytes(array), kind, array.shape, PLACE)
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()
    assert tensors.datatype(array.dtype.name) == kind


def test_numbers_are_little_endian_whatever_order_the_array_has():
    array = np.array([1, 256], ">i8")
    assert tensors.to_bytes(array.astype("<i8")) == b"\1" + bytes(8) + b"\1" + bytes(6)


@pytest.mark.parametrize("extra", [-1, 1])
def test_bytes_that_are_not_as_many_as_the_shape_says_are_refused(extra: int):
    with pytest.raises(InvalidField) as refusal:
        tensors.from_bytes(bytes(24 + extra), "FP32", (2, 3), PLACE)
    assert refusal.value.fields[0].loc == ("inputs", 0, "shape")
    assert refusal.value.fields[0].msg == f"{24 + extra} bytes were sent, FP32 of this shape has 24"


def test_strings_have_their_length_before_them():
    raw = strings(b"one", b"", b"\xff\0")
    assert tensors.from_bytes(raw, BYTES, (3,), PLACE) == [b"one", b"", b"\xff\0"]


@pytest.mark.parametrize(
    ("raw", "count", "field", "message"),
    [
        (strings(b"a"), 2, "shape", "1 strings were sent, the shape says 2"),
        (strings(b"a", b"b", b"c", b"d"), 2, "shape", "more than 2 strings were sent, the shape says 2"),
        (strings(b"abc")[:-1], 1, "data", "the last string is cut off"),
        (b"\1\0\0", 1, "data", "the last string is cut off"),
        (b"\xff\xff\xff\xff", 1, "data", "the last string is cut off"),
    ],
)
def test_strings_that_do_not_fill_the_shape_are_refused(raw: bytes, count: int, field: str, message: str):
    with pytest.raises(InvalidField) as refusal:
        tensors.from_bytes(raw, BYTES, (count,), PLACE)
    assert refusal.value.fields[0] == (("inputs", 0, field), message)


def test_a_million_strings_are_not_split_before_they_are_refused():
    """Empty ones, of four bytes each: no more are made than one more than the shape says."""
    with pytest.raises(InvalidField, match="more than 1"):
        tensors.from_bytes(bytes(4_000_000), BYTES, (1,), PLACE)


@pytest.mark.parametrize("data", [[1, 2.5, 3, 4], [[1, 2.5], [3, 4]]])
def test_lists_may_be_flat_or_as_deep_as_the_shape(data: list[Any]):
    found = tensors.from_json(data, "FP32", (2, 2), PLACE)
    assert found.tolist() == [[1, 2.5], [3, 4]]
    assert found.dtype == np.float32


def test_text_stays_text():
    assert tensors.from_json([["a"], ["b"]], BYTES, (2, 1), PLACE) == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ([1], "FP32", "1 values were sent, the shape says 2"),
        ("12", "FP32", "0 values were sent, the shape says 2"),
        ([[[1], [2]]], "FP32", "1 values were sent, the shape says 2"),
        ([1, "2"], "FP32", "FP32 are numbers"),
        ([1, True], "FP32", "FP32 are numbers"),
        ([1, None], "INT64", "INT64 are integers"),
        ([1, 2.0], "INT64", "INT64 are integers"),
        ([1, 2**63], "INT64", "a number is beyond INT64"),
        ([1, 256], "UINT8", "a number is beyond UINT8"),
        ([1, -1], "UINT8", "a number is beyond UINT8"),
        (["a", 1], BYTES, "BYTES in JSON are text"),
    ],
)
def test_lists_of_something_else_are_refused(data: Any, kind: str, message: str):
    with pytest.raises(InvalidField) as refusal:
        tensors.from_json(data, kind, (2,), PLACE)
    assert refusal.value.fields[0] == (("inputs", 0, "data"), message)


def test_a_number_beyond_float32_is_infinite_which_the_model_refuses():
    assert np.isinf(tensors.from_json([1e39], "FP32", (1,), PLACE)).all()


@pytest.mark.parametrize(
    ("kind", "dtype", "read_as"), [("FP16", "<f2", "<f4"), ("FP64", "<f8", "<f4"), ("INT32", "<i4", "<i8")]
)
def test_other_types_are_read_as_those_of_graphs(kind: str, dtype: str, read_as: str) -> None:
    array = np.array([[1, -2], [3, 40]], dtype)
    for found in (
        tensors.from_bytes(array.tobytes(), kind, (2, 2), PLACE),
        tensors.from_json(array.tolist(), kind, (2, 2), PLACE),
    ):
        assert found.dtype == np.dtype(read_as)
        assert np.array_equal(found, array)


def test_what_another_type_cannot_hold_is_refused_or_infinite() -> None:
    assert np.isinf(tensors.from_bytes(np.array([1e300]).tobytes(), "FP64", (1,), PLACE)).all()
    with pytest.raises(InvalidField, match="beyond INT32"):
        tensors.from_json([2**31], "INT32", (1,), PLACE)
    with pytest.raises(InvalidField, match="FP16 of this shape has 4"):
        tensors.from_bytes(bytes(8), "FP16", (2,), PLACE)
