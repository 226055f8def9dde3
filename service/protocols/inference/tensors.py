"""Tensors on the wire: numbers and byte strings, as JSON lists or as little-endian bytes in row order.

A BYTES tensor holds one string per element; in bytes each has its length before it, four bytes long, and in
JSON each is text: base64 here, since what is sent are images.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidField, Location

NUMBERS: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype("<f4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
}
READ_AS = {"FP16": "FP32", "FP64": "FP32", "INT32": "INT64"}
"""Types that are read as another, which graphs take; a number beyond FP32 becomes infinite."""
WIRE = NUMBERS | {"FP16": np.dtype("<f2"), "FP64": np.dtype("<f8"), "INT32": np.dtype("<i4")}
BYTES = "BYTES"

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Tensor:
    """One input of a request, whose values are as many as its shape says."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: NDArray[Any] | Sequence[bytes] | Sequence[str]
    """An array of this shape; of BYTES a flat list."""
    place: Location
    """Where in the request it was."""


def datatype(dtype: str) -> str:
    """Return the protocol's name of a graph's type."""
    return {"float32": "FP32", "int64": "INT64"}[dtype]


def from_bytes(raw: bytes, kind: str, shape: tuple[int, ...], place: Location) -> Any:
    """Return the values of a tensor that came as bytes, of the type that `kind` is read as.

    Raises:
        InvalidField: they are more or fewer than the shape says.
    """
    count = math.prod(shape)
    if kind == BYTES:
        strings = list(islice(_strings(raw, place), count + 1))
        if len(strings) != count:
            sent = f"more than {count}" if len(strings) > count else len(strings)
            raise InvalidField.at((*place, "shape"), f"{sent} strings were sent, the shape says {count}")
        return strings
    needed = count * WIRE[kind].itemsize
    if len(raw) != needed:
        raise InvalidField.at(
            (*place, "shape"), f"{len(raw)} bytes were sent, {kind} of this shape has {needed}"
        )
    return _converted(np.frombuffer(raw, WIRE[kind]), kind).reshape(shape)


def _converted(array: NDArray[Any], kind: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        return array.astype(NUMBERS[READ_AS.get(kind, kind)], copy=False)


def _strings(raw: bytes, place: Location) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else start
        if end > len(raw):
            raise InvalidField.at((*place, "data"), "the last string is cut off")
        yield raw[start:end]
        at = end


def from_json(data: object, kind: str, shape: tuple[int, ...], place: Location) -> Any:
    """Return the values of a tensor that came as a JSON list, flat or nested, typed as by `from_bytes`.

    Raises:
        InvalidField: they are more or fewer than the shape says, or of another type.
    """
    count = math.prod(shape)
    flat = _flat(data, len(shape)) if isinstance(data, list) else []
    if len(flat) != count:
        raise InvalidField.at((*place, "data"), f"{len(flat)} values were sent, the shape says {count}")
    if kind == BYTES:
        if not all(isinstance(one, str) for one in flat):
            raise InvalidField.at((*place, "data"), "BYTES in JSON are text")
        return flat
    is_float = WIRE[kind].kind == "f"
    allowed = (int, float) if is_float else (int,)
    if any(type(one) not in allowed for one in flat):
        raise InvalidField.at((*place, "data"), f"{kind} are {'numbers' if is_float else 'integers'}")
    try:
        return _converted(np.array(flat, np.float64 if is_float else WIRE[kind]), kind).reshape(shape)
    except OverflowError:
        raise InvalidField.at((*place, "data"), f"a number is beyond {kind}") from None


def _flat(data: list[Any], axes: int) -> list[Any]:
    """Return the values of lists that are nested as deep as there are axes, or not at all."""
    for _ in range(axes - 1):
        if any(type(one) is not list for one in data):
            break
        data = list(chain.from_iterable(data))
    return data


def to_bytes(array: NDArray[Any]) -> bytes:
    """Return an array as the wire has it."""
    return array.astype(NUMBERS[datatype(array.dtype.name)], copy=False).tobytes()
