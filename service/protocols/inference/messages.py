"""Requests and answers of the inference route: JSON first, then the tensors that come as bytes.

body, Inference-Header-Content-Length -> read -> Call -> operations
outputs -> write -> body, Inference-Header-Content-Length
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from service.api.validation import parse_json
from service.errors import BadRequest, InvalidField, Location
from service.http.headers import read_number
from service.protocols.inference import tensors
from service.protocols.inference.tensors import BYTES, READ_AS, WIRE, Tensor

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Bytes of the JSON at the start of a body that has tensors behind it; 0 if the body is one tensor alone."""

MAX_TENSORS = 16
MAX_AXIS = 1 << 32
"""More than an axis of any tensor can have; larger numbers only take time."""
UNSUPPORTED = ("shared_memory_region", "classification")
"""Parameters of Triton's extensions that would change what a tensor is, and are not supported here."""


def _null_is(empty: object) -> BeforeValidator:
    """Let a field be null, as clients write that keep what is not set."""
    return BeforeValidator(lambda given: empty if given is None else given)


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    parameters: Annotated[dict[str, Any], _null_is({})] = {}


class _Input(_Part):
    name: str = Field(max_length=64)
    datatype: str = Field(max_length=16)
    shape: list[Annotated[int, Field(le=MAX_AXIS)]] = Field(max_length=8, fail_fast=True)
    data: list[Any] | None = None


class _Output(_Part):
    name: str = Field(max_length=64)


class _Request(_Part):
    id: str | None = Field(None, max_length=256)
    inputs: list[_Input] = Field(max_length=MAX_TENSORS)
    outputs: Annotated[list[_Output], Field(max_length=MAX_TENSORS), _null_is([])] = []


class IndexRequest(BaseModel):
    """Which models to list: all, or those that are ready."""

    model_config = ConfigDict(strict=True, extra="ignore")

    ready: Annotated[bool, _null_is(False)] = False


@dataclass(frozen=True)
class Call:
    """What is asked of one operation."""

    inputs: Mapping[str, Tensor]
    parameters: Mapping[str, Any]
    id: str | None = None
    outputs: Mapping[str, bool] | None = None
    """The outputs that are wanted, and whether as bytes; None for all there are."""
    all_as_bytes: bool = False
    """Whether outputs that are not listed come as bytes."""


def read(raw: bytes, header_length: bytes | None, max_strings: int) -> Call:
    """Return what a body asks; `header_length` is what its header says, if it came with one.

    A tensor of more than `max_strings` byte strings is refused before they are told apart.

    Raises:
        BadRequest, InvalidField: it cannot be read, or breaks a rule; an input's place is `inputs.<number>`.
    """
    end = _json_end(raw, header_length)
    asked = parse_json(_Request, raw[:end], ("request",))
    rest = memoryview(raw)[end:]
    inputs: dict[str, Tensor] = {}
    for number, one in enumerate(asked.inputs):
        place: Location = ("inputs", number)
        size = _binary_size(one, place)
        if size > len(rest):
            raise InvalidField.at(
                (*place, "parameters", "binary_data_size"), "is more than the body has left"
            )
        if one.name in inputs:
            raise InvalidField.at((*place, "name"), "an input is given more than once")
        inputs[one.name] = _tensor(one, bytes(rest[:size]), place, max_strings)
        rest = rest[size:]
    if len(rest):
        raise BadRequest(f"The body has {len(rest)} bytes more than its tensors.")
    outputs = {one.name: one.parameters.get("binary_data") is True for one in asked.outputs}
    for number, output in enumerate(asked.outputs):
        _refuse_unsupported(output, ("outputs", number))
    return Call(
        inputs,
        asked.parameters,
        asked.id,
        outputs or None,
        asked.parameters.get("binary_data_output") is True,
    )


def _json_end(raw: bytes, header_length: bytes | None) -> int:
    if header_length is None:
        return len(raw)
    end = read_number(header_length)
    if end is None or end > len(raw):
        raise BadRequest(f"{HEADER_LENGTH} must be a number of bytes that the body has.")
    return end


def _binary_size(one: _Input, place: Location) -> int:
    _refuse_unsupported(one, place)
    size = one.parameters.get("binary_data_size", 0)
    if type(size) is not int or size < 0:
        raise InvalidField.at((*place, "parameters", "binary_data_size"), "must be a number of bytes")
    return size


def _refuse_unsupported(part: _Part, place: Location) -> None:
    for name in UNSUPPORTED:
        if name in part.parameters:
            raise InvalidField.at((*place, "parameters", name), "is not supported here")


def _tensor(one: _Input, raw: bytes, place: Location, max_strings: int) -> Tensor:
    if one.datatype not in (BYTES, *WIRE):
        raise InvalidField.at((*place, "datatype"), f"must be one of {', '.join((BYTES, *WIRE))}")
    if min(one.shape, default=0) < 1:
        raise InvalidField.at((*place, "shape"), "must be one or more positive numbers")
    shape = tuple(one.shape)
    if one.datatype == BYTES and math.prod(shape) > max_strings:
        raise InvalidField.at((*place, "shape"), f"at most {max_strings} in one request")
    if one.data is None:
        values = tensors.from_bytes(raw, one.datatype, shape, place)
    elif raw:
        raise InvalidField.at((*place, "data"), "must be left out where binary_data_size is given")
    else:
        values = tensors.from_json(one.data, one.datatype, shape, place)
    return Tensor(one.name, READ_AS.get(one.datatype, one.datatype), shape, values, place)


def write(
    call: Call, model: str, version: int, outputs: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]
) -> tuple[bytes, dict[str, str]]:
    """Return the body of an answer, and its headers; `outputs` are those that are wanted."""
    listed: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for name, array in outputs.items():
        kind = tensors.datatype(array.dtype.name)
        output: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(array.shape)}
        if call.all_as_bytes if call.outputs is None else call.outputs[name]:
            behind.append(tensors.to_bytes(array))
            output["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            output["data"] = np.ascontiguousarray(array).reshape(-1)
        listed.append(output)
    answer: dict[str, Any] = {"model_name": model, "model_version": str(version), "outputs": listed}
    if call.id is not None:
        answer["id"] = call.id
    if parameters:
        answer["parameters"] = dict(parameters)
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not behind:
        return head, {"Content-Type": "application/json"}
    headers = {HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    return b"".join((head, *behind)), headers
