"""Requests and answers of the inference route: JSON, then the tensors that come as bytes."""

import json
from typing import Any

import numpy as np
import pytest

from service.errors import BadRequest, InvalidField, Location, ServiceError
from service.protocols.inference.messages import MAX_TENSORS, IndexRequest, read, write
from service.protocols.inference.tensors import BYTES

NUMBERS = np.array([[1.5, 2.5]], np.float32)


def message(*inputs: dict[str, Any], behind: bytes = b"", **members: Any) -> tuple[bytes, bytes]:
    """Return a body, and how long its JSON is."""
    head = json.dumps({"inputs": inputs, **members}).encode()
    return head + behind, str(len(head)).encode()


def tensor(**members: Any) -> dict[str, Any]:
    return {"name": "latents", "datatype": "FP32", "shape": [1, 2], **members}


def refusal_of(raw: bytes, length: bytes | None = None, max_strings: int = 10) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        read(raw, length, max_strings)
    return refusal.value


def test_a_tensor_comes_in_the_json():
    body, _ = message(tensor(data=[1.5, 2.5]), id="7", parameters={"seed": 3})
    call = read(body, None, 10)
    (found,) = call.inputs.values()
    assert (found.name, found.datatype, found.shape, found.place) == (
        "latents",
        "FP32",
        (1, 2),
        ("inputs", 0),
    )
    assert np.array_equal(found.values, NUMBERS)
    assert (call.id, call.parameters, call.outputs, call.all_as_bytes) == ("7", {"seed": 3}, None, False)


def test_tensors_come_after_the_json_in_their_order():
    sizes: list[dict[str, Any]] = [
        tensor(name=name, shape=[1, axes], parameters={"binary_data_size": 4 * axes})
        for name, axes in (("a", 2), ("b", 1))
    ]
    body, length = message(*sizes, behind=np.arange(3, dtype=np.float32).tobytes())
    call = read(body, length, 10)
    assert [one.values.tolist() for one in call.inputs.values()] == [[[0, 1]], [[2]]]  # type: ignore[union-attr]


def test_outputs_say_whether_they_come_as_bytes():
    listed = [{"name": "a", "parameters": {"binary_data": True}}, {"name": "b"}]
    body, _ = message(tensor(data=[1, 2]), outputs=listed, parameters={"binary_data_output": True})
    call = read(body, None, 10)
    assert call.outputs == {"a": True, "b": False}
    assert call.all_as_bytes


def test_what_clients_leave_unset_may_be_null():
    body, _ = message(tensor(data=[1, 2], parameters=None), outputs=None, parameters=None, id=None)
    call = read(body, None, 10)
    assert (call.outputs, call.parameters, call.id) == (None, {}, None)
    assert IndexRequest.model_validate_json('{"ready": null}').ready is False


@pytest.mark.parametrize(
    ("changes", "loc", "message_"),
    [
        ({"datatype": "BF16"}, ("datatype",), "must be one of BYTES, FP32, INT64, UINT8, FP16, FP64, INT32"),
        ({"shape": []}, ("shape",), "must be one or more positive numbers"),
        ({"shape": [1, 0]}, ("shape",), "must be one or more positive numbers"),
        ({"shape": [-1, 2]}, ("shape",), "must be one or more positive numbers"),
        (
            {"parameters": {"binary_data_size": -1}},
            ("parameters", "binary_data_size"),
            "must be a number of bytes",
        ),
        (
            {"parameters": {"binary_data_size": True}},
            ("parameters", "binary_data_size"),
            "must be a number of bytes",
        ),
        (
            {"parameters": {"binary_data_size": 8}},
            ("parameters", "binary_data_size"),
            "is more than the body has left",
        ),
        (
            {"parameters": {"shared_memory_region": "x"}},
            ("parameters", "shared_memory_region"),
            "is not supported here",
        ),
        ({"datatype": BYTES, "shape": [11], "data": []}, ("shape",), "at most 10 in one request"),
    ],
)
def test_a_tensor_that_breaks_a_rule_is_refused_with_its_place(
    changes: dict[str, Any], loc: Location, message_: str
):
    body, _ = message(tensor(data=[1, 2]), tensor(**{"name": "b", "data": [1, 2], **changes}))
    error = refusal_of(body)
    assert isinstance(error, InvalidField)
    assert error.fields == [(("inputs", 1, *loc), message_)]


def test_a_tensor_comes_once_and_in_one_form():
    twice, _ = message(tensor(data=[1, 2]), tensor(data=[1, 2]))
    assert refusal_of(twice).fields[0] == (("inputs", 1, "name"), "an input is given more than once")
    both, length = message(tensor(data=[1, 2], parameters={"binary_data_size": 8}), behind=bytes(8))
    assert refusal_of(both, length).fields[0].loc == ("inputs", 0, "data")


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"99999", b"1e1", "\u0663".encode()])
def test_a_length_of_the_json_that_is_no_number_of_its_bytes_is_refused(length: bytes):
    body, _ = message(tensor(data=[1, 2]))
    assert isinstance(refusal_of(body, length), BadRequest)


def test_bytes_that_belong_to_no_tensor_are_refused():
    body, length = message(tensor(data=[1, 2]), behind=b"abc")
    error = refusal_of(body, length)
    assert isinstance(error, BadRequest)
    assert error.detail == "The body has 3 bytes more than its tensors."


def test_more_tensors_than_any_model_has_are_refused():
    body, _ = message(*(tensor(name=str(i), data=[1, 2]) for i in range(MAX_TENSORS + 1)))
    assert refusal_of(body).fields[0].loc == ("request", "inputs")


def test_an_axis_longer_than_any_tensor_is_refused_before_it_is_multiplied():
    body, _ = message(tensor(shape=[10**40] * 8))
    assert refusal_of(body).fields[0].loc[:3] == ("request", "inputs", 0)


def test_an_answer_is_json_with_bytes_after_it_where_they_are_wanted():
    body, _ = message(
        tensor(data=[1, 2]),
        id="7",
        outputs=[{"name": "a", "parameters": {"binary_data": True}}, {"name": "b"}],
    )
    outputs = {"a": NUMBERS, "b": np.array([[1], [2]])[::-1]}
    raw, headers = write(read(body, None, 10), "tiny.encode", 3, outputs, {"seed": 5})
    end = int(headers["Inference-Header-Content-Length"])
    assert headers["Content-Type"] == "application/octet-stream"
    assert raw[end:] == NUMBERS.tobytes()
    assert json.loads(raw[:end]) == {
        "model_name": "tiny.encode",
        "model_version": "3",
        "outputs": [
            {"name": "a", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
            {"name": "b", "datatype": "INT64", "shape": [2, 1], "data": [2, 1]},
        ],
        "id": "7",
        "parameters": {"seed": 5},
    }


def test_an_answer_without_bytes_is_plain_json():
    body, _ = message(tensor(data=[1, 2]))
    raw, headers = write(read(body, None, 10), "m", 1, {"a": NUMBERS}, {})
    assert headers == {"Content-Type": "application/json"}
    assert json.loads(raw)["outputs"][0]["data"] == [1.5, 2.5]
    assert "id" not in json.loads(raw)
