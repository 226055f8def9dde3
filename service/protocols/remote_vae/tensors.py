"""Tensors on the wire: bare little-endian bytes in row order, whose shape and type are said beside them.

NumPy has no bfloat16, which is the upper half of a float32: the lower half is cut off, after rounding.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidField

DType = Literal["float16", "bfloat16", "float32"]

_WIRE: dict[DType, np.dtype[Any]] = {
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "float32": np.dtype("<f4"),
}


def read(raw: bytes, dtype: DType, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the tensor in `raw` as float32 of `shape`.

    Raises:
        InvalidField: there are more or fewer bytes than the shape says, or a number is not finite.
    """
    wire = _WIRE[dtype]
    needed = math.prod(shape) * wire.itemsize
    if len(raw) != needed:
        raise InvalidField.at(
            ("query", "shape"), f"{len(raw)} bytes were sent, {dtype} of this shape has {needed}"
        )
    values = np.frombuffer(raw, wire)
    if dtype == "bfloat16":
        array = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    else:
        array = values.astype(np.float32)
    if not np.isfinite(array).all():
        raise InvalidField.at(("body",), "the numbers of the tensor must be finite")
    return array.reshape(shape)


def write(array: NDArray[np.float32], dtype: DType) -> bytes:
    """Return a tensor as bytes, its numbers rounded to nearest; halves go to the even one."""
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(array, "<f4").view("<u4")
        odd = (bits >> np.uint32(16)) & np.uint32(1)
        return ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype("<u2").tobytes()
    with np.errstate(over="ignore"):
        return array.astype(_WIRE[dtype]).tobytes()
