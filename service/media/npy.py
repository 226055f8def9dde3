"""NumPy's .npy format as it travels over HTTP: one plain array, read without trust.

application/x-npy body -> read -> array -> request_bodies; rendering -> write -> application/x-npy
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import DTypeLike, NDArray

from service.errors import BadRequest, InvalidField

HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
FLOATS = (np.float16, np.float32, np.float64)
NOT_NPY = "The body is not an .npy file; numpy.save writes one."


def is_array(raw: bytes) -> bool:
    """Say whether bytes begin as an .npy file."""
    return raw.startswith(npy_format.MAGIC_PREFIX)


def read(raw: bytes, dtype: DTypeLike, dimensions: tuple[int, ...]) -> NDArray[np.generic]:
    """Return the array in `raw` as `dtype`, after its header was found to be what is wanted.

    Where float32 is wanted, other floats are converted; what is beyond it becomes infinite.

    Nothing is allocated by the word of a header: its size has to be that of the body.

    Raises:
        BadRequest: this is not an .npy file, or is cut off.
        InvalidField: it holds another type, or another number of axes than `dimensions` allows.
    """
    file = io.BytesIO(raw)
    shape, found = _read_header(file)
    wanted = np.dtype(dtype)
    if not _converts(found, wanted) or len(shape) not in dimensions or 0 in shape:
        axes = " or ".join(map(str, dimensions))
        raise InvalidField.at(("body",), f"the array must be {wanted} with {axes} axes, none of them empty")
    if math.prod(shape) * found.itemsize != len(raw) - file.tell():
        raise BadRequest("The body is not as long as its .npy header says.")
    array: NDArray[np.generic] = np.load(io.BytesIO(raw), allow_pickle=False)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, wanted)


def _converts(found: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    return found == wanted or (wanted == np.float32 and found in FLOATS)


def _read_header(file: io.BytesIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type as the header has them, and leave `file` where the numbers begin."""
    try:
        read_header = HEADERS[npy_format.read_magic(file)]
        shape, _, dtype = read_header(file)
    except Exception:  # noqa: BLE001 -- parsers raise whatever they stumble over
        raise BadRequest(NOT_NPY) from None
    if not all(type(side) is int and side >= 0 for side in shape):  # NumPy's reader lets True and -1 pass
        raise BadRequest(NOT_NPY)
    return shape, dtype


def write(array: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()
