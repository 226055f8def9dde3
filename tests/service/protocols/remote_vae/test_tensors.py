"""Tensors of the remote VAE: bare bytes, whose shape and type come beside them."""

import numpy as np
import pytest

from service.errors import InvalidField
from service.protocols.remote_vae import tensors
from service.protocols.remote_vae.tensors import DType

VALUES = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 0), ("float16", 2**-11), ("bfloat16", 2**-8)])
def test_what_is_written_is_read_again_as_closely_as_the_type_allows(dtype: DType, digits: float):
    raw = tensors.write(VALUES, dtype)
    assert len(raw) == VALUES.size * (4 if dtype == "float32" else 2)
    found = tensors.read(raw, dtype, VALUES.shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, VALUES, rtol=digits)


def test_bfloat16_is_the_upper_half_of_a_float_rounded_to_even():
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF], np.uint32)
    found = np.frombuffer(tensors.write(bits.view(np.float32), "bfloat16"), "<u2")
    assert [hex(one) for one in found] == ["0x3f80", "0x3f82", "0x3f81", "0x3f80"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_view_is_written_in_row_order(dtype: DType):
    assert tensors.write(VALUES.T, dtype) == tensors.write(np.ascontiguousarray(VALUES.T), dtype)


@pytest.mark.parametrize("extra", [-1, 1])
def test_bytes_that_are_not_as_many_as_the_shape_says_are_refused(extra: int):
    with pytest.raises(InvalidField) as refusal:
        tensors.read(bytes(12 + extra), "float16", (2, 3))
    message = f"{12 + extra} bytes were sent, float16 of this shape has 12"
    assert refusal.value.fields[0] == (("query", "shape"), message)


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_numbers_that_are_not_finite_are_refused(dtype: DType, number: float):
    raw = tensors.write(np.array([0, number], np.float32), dtype)
    with pytest.raises(InvalidField, match="must be finite"):
        tensors.read(raw, dtype, (2,))


def test_what_half_precision_cannot_hold_is_infinite_without_a_warning():
    assert np.isinf(np.frombuffer(tensors.write(np.array([1e6], np.float32), "float16"), "<f2")).all()
