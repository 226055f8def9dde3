"""Engine: graphs from bytes, held to what the manifest promises."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from service.checkpoint import CheckpointError
from service.checkpoint.manifest import Graph, Translation
from service.inference.engine import Arrays, Engine, PaddedEngine
from support.tiny_checkpoints import describe_tiny, run_onnx

TINY, FILES = describe_tiny(domains=("a", "b"), logvar=True)


def spec_of(key: str, **changes: Any) -> Graph:
    return Graph.model_validate({**TINY["operations"][key], **changes})


def changed_tensor(key: str, side: str, **changes: Any) -> Graph:
    tensors = [dict(tensor) for tensor in TINY["operations"][key][side]]
    tensors[0] |= changes
    return spec_of(key, **{side: tensors})


def test_outputs_are_those_of_onnx_runtime_by_name():
    latents = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    got = Engine(FILES["decode.onnx"], spec_of("decode")).run({"latents": latents})
    assert set(got) == {"images"}
    assert np.array_equal(got["images"], run_onnx(FILES["decode.onnx"], {"latents": latents})["images"])


def test_every_output_is_returned():
    images = np.ones((2, 1, 8, 8), np.float32)
    got = Engine(FILES["encode.onnx"], spec_of("encode")).run({"images": images})
    assert {name: value.shape for name, value in got.items()} == {"latents": (2, 4), "logvar": (2, 4)}


def test_translation_graph_is_accepted():
    spec = Translation.model_validate(TINY["operations"]["translate"]["b"])
    images = np.full((1, 1, 8, 8), 0.25, np.float32)
    assert Engine(FILES["translate.b.onnx"], spec).run({"images": images})["translated"].max() == 0.75


@pytest.mark.parametrize("graph", [b"", b"not a graph", FILES["decode.onnx"][:-100]])
def test_bytes_that_are_no_graph_are_refused(graph: bytes):
    with pytest.raises(CheckpointError, match="not a graph that can be run"):
        Engine(graph, spec_of("decode"))


@pytest.mark.parametrize(
    ("side", "changes", "reason"),
    [
        ("inputs", {"name": "images"}, "the inputs are not those"),
        ("outputs", {"name": "latents"}, "the outputs are not those"),
        ("inputs", {"dtype": "int64"}, "input latents is not int64"),
        ("outputs", {"dtype": "int64"}, "output images is not int64"),
        ("inputs", {"shape": (5,)}, "input latents has not the shape"),
        ("inputs", {"shape": (None,)}, "input latents has not the shape"),
        ("inputs", {"shape": ()}, "input latents has not the shape"),
        ("outputs", {"shape": (1, 8, 9)}, "output images has not the shape"),
        ("outputs", {"shape": (1, 8)}, "output images has not the shape"),
    ],
)
def test_graph_unlike_its_manifest_is_refused(side: str, changes: dict[str, Any], reason: str):
    with pytest.raises(CheckpointError, match=reason):
        Engine(FILES["decode.onnx"], changed_tensor("decode", side, **changes))


def test_fixed_batch_axis_is_refused():
    model = ModelProto.FromString(FILES["decode.onnx"])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(CheckpointError, match="has not the shape"):
        Engine(model.SerializeToString(), spec_of("decode"))


def external_data_graph() -> bytes:
    weight = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[4, 64])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["latents", "weight"], ["flat"]),
            helper.make_node("Reshape", ["flat", "shape"], ["images"]),
        ],
        "outside",
        [helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [weight, numpy_helper.from_array(np.array([-1, 1, 8, 8]), "shape")],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


@pytest.fixture
def weights_in_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "weights.bin").write_bytes(np.ones(256, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("weights_in_working_directory")
def test_weights_outside_the_graph_are_refused():
    graph = external_data_graph()
    run_onnx(graph, {"latents": np.zeros((1, 4), np.float32)})  # ONNX Runtime itself would read the file
    with pytest.raises(CheckpointError, match="outside the file"):
        Engine(graph, spec_of("decode"))


@pytest.mark.usefixtures("weights_in_working_directory")
@pytest.mark.parametrize(
    "key", [b"\x0a\x88\x00location", b"\x8a\x00\x08location", b"\x8a\x80\x00\x88\x80\x00location"]
)
def test_weights_outside_the_graph_are_refused_in_any_encoding(key: bytes):
    with pytest.raises(CheckpointError, match="outside the file"):
        Engine(external_data_graph().replace(b"\x0a\x08location", key), spec_of("decode"))


def test_loading_opens_no_threads():
    before = len(list(Path("/proc/self/task").iterdir()))
    engines = [Engine(FILES["decode.onnx"], spec_of("decode")) for _ in range(4)]
    assert len(engines) == 4
    assert len(list(Path("/proc/self/task").iterdir())) == before


class CountingEngine(Engine):
    """Notes how many rows its runs have."""

    rows: list[int]

    def run(self, inputs: Mapping[str, NDArray[Any]], options: Any = None) -> Arrays:
        self.rows = [*getattr(self, "rows", []), *(len(value) for value in inputs.values())]
        return super().run(inputs, options)


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine(FILES["encode.onnx"], spec_of("encode"))


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
