"""Padded: runs of one size, and rows that cannot tell."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from service.checkpoint.manifest import Graph
from service.inference.engine import Arrays, Engine, PaddedEngine
from support.tiny_checkpoints import describe_tiny

TINY, FILES = describe_tiny(logvar=True)


class CountingEngine(Engine):
    """Notes how many rows its runs have."""

    rows: list[int]

    def run(self, inputs: Mapping[str, NDArray[Any]], options: ort.RunOptions | None = None) -> Arrays:
        self.rows = [*getattr(self, "rows", []), *(len(value) for value in inputs.values())]
        return super().run(inputs, options)


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine(FILES["encode.onnx"], Graph.model_validate(TINY["operations"]["encode"]))


@pytest.mark.parametrize("rows", [1, 2, 15, 16])
def test_every_run_has_all_rows_and_gives_back_those_asked_for(engine: CountingEngine, rows: int):
    images = np.random.default_rng(rows).random((rows, 1, 8, 8), np.float32)
    outputs = PaddedEngine(engine, 16).run({"images": images})
    assert engine.rows == [16]
    assert {name: value.shape for name, value in outputs.items()} == {
        "latents": (rows, 4),
        "logvar": (rows, 4),
    }
    expected = engine.run({"images": images})
    for name, value in outputs.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)
