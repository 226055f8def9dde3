"""Torch modules to ONNX graphs, each compared with its module and searched for rows that disturb others."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PARITY_LIMIT = 1e-4
"""Largest allowed difference between graph and module, as a fraction of the output's range."""
BATCHES = (64, 32, 16, 8, 4, 2, 1)
OPSET = 20

Arrays = dict[str, NDArray[Any]]


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


def export(module: nn.Module, inputs: Mapping[str, Tensor], outputs: tuple[str, ...]) -> ExportedGraph:
    """Export one module with a variable batch axis.

    Args:
        module: in evaluation mode, on the CPU.
        inputs: 64 real rows for each input, by name, in the order of the module's arguments.
        outputs: names for what it returns.

    Raises:
        ExportError: the graph strays from the module by more than `PARITY_LIMIT`.
    """
    model = _serialised(module, inputs, outputs)
    arrays = {name: value.numpy() for name, value in inputs.items()}
    session = _session(model)
    with torch.inference_mode():
        expected = module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = run(session, arrays)
    parity = max(_relative(found[name], value.numpy()) for name, value in zip(outputs, expected, strict=True))
    if not parity <= PARITY_LIMIT:
        raise ExportError(
            f"graph and module differ by {parity:.2g} of the output's range; {PARITY_LIMIT} is allowed"
        )
    golden = {name: value[:2] for name, value in arrays.items()}
    return ExportedGraph(
        model, outputs, parity, _independent_batch(session, arrays), (golden, run(session, golden))
    )


def run(session: onnxruntime.InferenceSession, arrays: Arrays) -> Arrays:
    """Return all outputs by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, arrays), strict=True))


def _serialised(module: nn.Module, inputs: Mapping[str, Tensor], outputs: tuple[str, ...]) -> bytes:
    batch = torch.export.Dim("batch", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            tuple(value[:4] for value in inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program.model_proto.SerializeToString()


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _relative(found: NDArray[Any], expected: NDArray[Any]) -> float:
    span = float(expected.max() - expected.min()) or 1.0
    return float(np.abs(found - expected).max()) / span


def _independent_batch(session: onnxruntime.InferenceSession, arrays: Arrays) -> int:
    rows = len(next(iter(arrays.values())))
    alone = [
        run(session, {name: value[row : row + 1] for name, value in arrays.items()}) for row in range(rows)
    ]
    single = {name: np.concatenate([row[name] for row in alone]) for name in alone[0]}
    for batch in BATCHES:
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
