"""npy: arrays are read without trust in their header."""

import io
import struct
from typing import Any

import numpy as np
import pytest

from service.errors import BadRequest, InvalidField
from service.media import npy


def saved(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def with_header(header: str, data: bytes = b"") -> bytes:
    raw = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + data


def test_an_array_comes_back_as_it_was_written() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(npy.read(npy.write(array), np.uint8, (3, 4)), array)


def test_fortran_order_is_understood() -> None:
    array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    read = npy.read(saved(array), np.float32, (2,))
    np.testing.assert_array_equal(read, array)
    assert read.flags.c_contiguous


@pytest.mark.parametrize("cut", [0, 1, 5, 6, 7, 8, 9, 60, -1])
def test_a_cut_array_is_400(cut: int) -> None:
    with pytest.raises(BadRequest):
        npy.read(saved(np.zeros((2, 3), np.float32))[:cut], np.float32, (2,))


def test_bytes_after_the_array_are_400() -> None:
    with pytest.raises(BadRequest):
        npy.read(saved(np.zeros((2, 3), np.float32)) + b"x", np.float32, (2,))


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000)}\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4)}\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 4)}\n",
        "(" * 5000,
        "__import__('os').getcwd()",
        "{}",
        "",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ", 1)}\n",
    ],
    ids=[
        "huge",
        "negative",
        "negative twice",
        "a truth value",
        "nested",
        "code",
        "nothing",
        "empty",
        "long number",
    ],
)
def test_a_lying_header_is_400(header: str) -> None:
    with pytest.raises(BadRequest):
        npy.read(with_header(header, b"\0" * 16), np.float32, (2,))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3), np.complex64),
        np.zeros((2, 3), np.int64),
        np.zeros((2, 3), ">f4"),
        np.zeros((2, 3), np.uint8),
        np.zeros((2, 3, 1), np.float32),
        np.zeros((2,), np.float32),
        np.zeros((), np.float32),
        np.zeros((0, 3), np.float32),
        np.zeros((2, 0), np.float32),
        np.array([["a"]]),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_another_type_or_shape_is_422(array: Any) -> None:
    with pytest.raises(InvalidField) as refusal:
        npy.read(saved(array), np.float32, (2,))
    assert "float32" in refusal.value.detail


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_are_converted_where_float32_is_wanted(dtype: Any) -> None:
    array = npy.read(saved(np.array([[0.1, -3, 60000]], dtype)), np.float32, (2,))
    assert array.dtype == np.float32
    assert np.array_equal(array, np.array([[0.1, -3, 60000]], dtype).astype(np.float32))
    with pytest.raises(InvalidField, match="uint8"):
        npy.read(saved(np.zeros((1, 2, 2), dtype)), np.uint8, (3,))


def test_what_is_beyond_float32_becomes_infinite() -> None:
    assert np.isinf(npy.read(saved(np.array([[1e300, -1e300]])), np.float32, (2,))).all()


def test_a_header_of_another_float_is_held_to_the_bytes() -> None:
    with pytest.raises(BadRequest):
        npy.read(saved(np.zeros((2, 3)))[:-4], np.float32, (2,))


def test_pickled_objects_are_refused_unread() -> None:
    raw = saved(np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidField):
        npy.read(raw, np.float32, (2,))
