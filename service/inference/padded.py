"""An engine whose runs all have the same number of rows, as a GPU's have to.

model -> Padded -> batcher

A GPU's libraries choose their kernels by the size of the batch, and different kernels round differently. With
one size for all runs a row's result depends on nothing but the row, and a run costs the same for one row as
for all of them: nearly nothing more, as long as the GPU is not full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.inference.engine import Arrays, Runner

SIZES = (16, 32, 64, 128, 256, 512)
"""Numbers of rows that come into question."""


class Padded:
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
