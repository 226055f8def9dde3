"""One ONNX graph, ready to run: the batcher puts rows in, the graph's outputs come back.

    batcher -> Engine.run -> batcher;  on a GPU: batcher -> PaddedEngine.run -> Engine.run

On the processor an engine runs on one thread; parallelism comes from several worker processes, each with
engines of its own.

A GPU's libraries choose their kernels by the size of the batch, and different kernels round differently. With
one size for all runs a row's result depends on nothing but the row, and a run costs the same for one row as
for all of them: nearly nothing more, as long as the GPU is not full.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.checkpoint import CheckpointError
from service.checkpoint.manifest import Graph, TensorSpec
from service.inference.device import Device, NoSuchDevice, open_session

Arrays = dict[str, NDArray[Any]]

_ORT_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)"}

_EXTERNAL_DATA = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")
"""The protobuf bytes of a first field that says "location", in every encoding of its tag and its length.

That is the key under which a tensor names the file, outside the graph, that holds its weights.
"""

SIZES = (16, 32, 64, 128, 256, 512)
"""Numbers of rows that come into question."""


class Runner(Protocol):
    """What runs a graph: an engine, or what stands before one."""

    def run(self, inputs: Mapping[str, NDArray[Any]], options: ort.RunOptions | None = None) -> Arrays:
        """Run the graph on N rows and return its outputs by name, N rows each."""


class Engine:
    """An ONNX Runtime session whose tensors are those the manifest promises."""

    def __init__(self, graph: bytes, spec: Graph, device: Device = "cpu") -> None:
        """Load a graph from verified bytes, never from a path.

        Raises:
            CheckpointError: it is no valid graph, keeps weights in other files, has other tensors than the
                manifest says, or there is no such device.
        """
        if _EXTERNAL_DATA.search(graph):
            raise CheckpointError(f"{spec.graph} keeps weights outside the file")
        try:
            self._session = open_session(graph, device)
        except NoSuchDevice as error:
            raise CheckpointError(str(error)) from None
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no base class but this
            raise CheckpointError(
                f"{spec.graph} is not a graph that can be run ({type(error).__name__})"
            ) from None
        _compare(spec.graph, "input", self._session.get_inputs(), spec.inputs)
        _compare(spec.graph, "output", self._session.get_outputs(), spec.outputs)
        self._outputs = [tensor.name for tensor in spec.outputs]

    def run(self, inputs: Mapping[str, NDArray[Any]], options: ort.RunOptions | None = None) -> Arrays:
        """Run the graph on N rows and return its outputs by name, N rows each.

        `options` are the watchdog's, which may end the run. Raises whatever ONNX Runtime raises for inputs
        that the graph cannot take, or for a run that was ended.
        """
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs, options), strict=True))


def _compare(file: str, kind: str, found: list[Any], promised: tuple[TensorSpec, ...]) -> None:
    """Refuse a graph whose declared inputs or outputs are not the promised ones.

    An output may leave an axis open that the manifest fixes: shape inference does not always reach the
    end of a graph. What it really returns is measured when the checkpoint is warmed up.
    """
    if [tensor.name for tensor in found] != [tensor.name for tensor in promised]:
        raise CheckpointError(f"{file}: the {kind}s are not those of the manifest")
    for tensor, spec in zip(found, promised, strict=True):
        if tensor.type != _ORT_TYPES[spec.dtype]:
            raise CheckpointError(f"{file}: {kind} {spec.name} is not {spec.dtype}")
        if kind == "output" and not tensor.shape:
            continue
        axes = [axis if isinstance(axis, int) else None for axis in tensor.shape]
        same = len(axes) == len(spec.shape) + 1 and axes[0] is None
        for axis, expected in zip(axes[1:], spec.shape, strict=False):
            same = same and (axis == expected or (kind == "output" and axis is None))
        if not same:
            raise CheckpointError(f"{file}: {kind} {spec.name} has not the shape (N, *{list(spec.shape)})")


class PaddedEngine:
    """An engine that fills its batches up with rows of zeros."""

    def __init__(self, engine: Runner, rows: int) -> None:
        self._engine = engine
        self.rows = rows

    def run(self, inputs: Mapping[str, NDArray[Any]], options: ort.RunOptions | None = None) -> Arrays:
        """Run the graph on N <= `rows` rows and return its outputs by name, N rows each."""
        rows = len(next(iter(inputs.values())))
        filled = {name: _fill(value, self.rows) for name, value in inputs.items()}
        return {name: value[:rows] for name, value in self._engine.run(filled, options).items()}


def _fill(value: NDArray[Any], rows: int) -> NDArray[Any]:
    if len(value) == rows:
        return value
    filled = np.zeros((rows, *value.shape[1:]), value.dtype)
    filled[: len(value)] = value
    return filled
