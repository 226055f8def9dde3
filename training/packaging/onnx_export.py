"""Torch modules to ONNX graphs, each compared with its module and searched for rows that disturb others."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PARITY_LIMIT = 1e-4
"""Largest allowed difference between graph and module, as a fraction of the output's range."""
BATCHES = (64, 32, 16, 8, 4, 2)
CHUNK = 16
"""Rows that are compared at once."""
OPSET = 20

Arrays = dict[str, NDArray[Any]]

Free = Mapping[str, Sequence[int]]
"""Axes of tensors, by their names, whose length varies from run to run, besides that of the batch."""


class ExportError(Exception):
    """A module whose graph does not compute the same thing."""


@dataclass(frozen=True)
class ExportedGraph:
    """A serialised graph and what was found out about it."""

    model: bytes
    outputs: tuple[str, ...]
    parity: float
    """Largest difference from the torch module over the inputs tried, as a fraction of the output's range."""
    batch: int
    """Largest batch up to 64 in which every row is bit for bit what it is alone."""
    golden: tuple[Arrays, Arrays]
    """The first two rows of the inputs tried, and the graph's outputs for them."""
    free: Free = field(default_factory=dict)


def export(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: tuple[str, ...],
    free: Free | None = None,
    batches: Sequence[int] = BATCHES,
) -> ExportedGraph:
    """Export one module with a variable batch axis, and variable axes `free`.

    Args:
        module: in evaluation mode, on the CPU.
        inputs: rows for each input, by name, in the order of the module's arguments; 64 real ones are enough.
        outputs: names for what it returns.
        free: by input and output; none by default.
        batches: sizes to try for the largest batch, besides 1, from the largest down.

    Raises:
        ExportError: the graph strays from the module by more than `PARITY_LIMIT`, or fixes an axis.
    """
    free = free or {}
    model = _serialised(module, inputs, outputs, free)
    arrays = {name: value.numpy() for name, value in inputs.items()}
    graph = opened(model)
    _check_axes(graph, free)
    parity = difference(graph, module, inputs)
    golden = {name: value[:2] for name, value in arrays.items()}
    return ExportedGraph(
        model, outputs, parity, _independent_batch(graph, arrays, batches), (golden, run(graph, golden)), free
    )


def difference(graph: onnxruntime.InferenceSession, module: nn.Module, inputs: Mapping[str, Tensor]) -> float:
    """Return the largest difference between a graph and its module, as a fraction of the output's range.

    Raises:
        ExportError: it is more than `PARITY_LIMIT`.
    """
    lows, highs, errors = [], [], []
    for chunk in zip(*(rows.split(CHUNK) for rows in inputs.values()), strict=True):
        with torch.inference_mode():
            expected = module(*chunk)
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = run(graph, {name: rows.numpy() for name, rows in zip(inputs, chunk, strict=True)})
        wanted = [value.numpy() for value in expected]
        lows.append([value.min() for value in wanted])
        highs.append([value.max() for value in wanted])
        errors.append([np.abs(one - value).max() for one, value in zip(found.values(), wanted, strict=True)])
    spans = np.max(highs, axis=0) - np.min(lows, axis=0)
    parity = float((np.max(errors, axis=0) / np.where(spans == 0, 1, spans)).max())
    if not parity <= PARITY_LIMIT:
        raise ExportError(
            f"graph and module differ by {parity:.2g} of the output's range; {PARITY_LIMIT} is allowed"
        )
    return parity


def run(session: onnxruntime.InferenceSession, arrays: Arrays) -> Arrays:
    """Return all outputs by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, arrays), strict=True))


def _serialised(
    module: nn.Module, inputs: Mapping[str, Tensor], outputs: tuple[str, ...], free: Free
) -> bytes:
    varies = torch.export.Dim.AUTO
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                module,
                tuple(value[:4] for value in inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=tuple(dict.fromkeys((0, *free.get(name, ())), varies) for name in inputs),
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:  # tracing runs the module's code, and raises what that raises
            raise ExportError(
                f"{type(module).__name__} cannot become a graph ({type(error).__name__}): "
                "its code branches on values, or uses an operator that ONNX lacks"
            ) from error
    assert program is not None
    return _without_notes(program.model_proto)


def _without_notes(model: onnx.ModelProto) -> bytes:
    """Return a graph without what its exporter noted on it: where the code of each node is, with paths."""
    for graph in (model.graph, *model.functions):
        del graph.metadata_props[:]
        for part in (*graph.node, *graph.value_info, *getattr(graph, "initializer", ())):
            del part.metadata_props[:]
            part.doc_string = ""
    return model.SerializeToString()


def opened(model: bytes) -> onnxruntime.InferenceSession:
    """Return a graph ready to run, on one thread as the service runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _check_axes(graph: onnxruntime.InferenceSession, free: Free) -> None:
    """Refuse a graph that fixes an axis which has to vary, since the module's code depends on its length."""
    for tensor in graph.get_inputs():
        for axis in (0, *free.get(tensor.name, ())):
            if isinstance(tensor.shape[axis], int):
                raise ExportError(
                    f"the module takes {tensor.name} only with {tensor.shape[axis]} on axis {axis}, "
                    "which has to vary"
                )


def _independent_batch(session: onnxruntime.InferenceSession, arrays: Arrays, batches: Sequence[int]) -> int:
    if not batches:
        return 1
    rows = len(next(iter(arrays.values())))
    alone = [
        run(session, {name: value[row : row + 1] for name, value in arrays.items()}) for row in range(rows)
    ]
    single = {name: np.concatenate([row[name] for row in alone]) for name in alone[0]}
    for batch in batches:
        sizes = {batch, max(1, batch // 2), max(1, batch - 1)}
        if all(_equal_in_batches(session, arrays, single, size) for size in sizes):
            return batch
    return 1


def _equal_in_batches(
    session: onnxruntime.InferenceSession, arrays: Arrays, single: Arrays, size: int
) -> bool:
    for start in range(0, len(next(iter(arrays.values()))), size):
        together = run(session, {name: value[start : start + size] for name, value in arrays.items()})
        if any(
            not np.array_equal(value, single[name][start : start + size]) for name, value in together.items()
        ):
            return False
    return True


def graph_spec(graph: ExportedGraph, name: str) -> dict[str, Any]:
    """Return the manifest's entry for the graph in the file `name`."""
    inputs, outputs = graph.golden
    return {
        "graph": name,
        "inputs": [_tensor_spec(tensor, value, graph) for tensor, value in inputs.items()],
        "outputs": [_tensor_spec(tensor, outputs[tensor], graph) for tensor in graph.outputs],
        "preferred_batch": graph.batch,
    }


def _tensor_spec(name: str, value: NDArray[Any], graph: ExportedGraph) -> dict[str, Any]:
    free = graph.free.get(name, ())
    shape = [None if axis in free else length for axis, length in enumerate(value.shape)]
    return {"name": name, "dtype": str(value.dtype), "shape": shape[1:]}
