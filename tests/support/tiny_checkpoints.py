"""Tiny real checkpoints, built with onnx.helper and written through `service.checkpoint`; no torch.

    write_tiny(tmp_path, "tiny", operations=("encode", "decode"), default_for=("encode",))

encode multiplies the flattened image by a fixed matrix, decode and generate multiply the latent by
another and add 0.5 (and 0.05 per class), translate turns x into low + high - x, so going there and back
is the identity. A latent with a number beyond 1e19 gives NaN: a row that fails alone. A label that is no
class makes the whole run fail. With `endless`, a latent with a number of 1e6 makes decode go on for hours.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from service import checkpoint
from service.checkpoint.manifest import Manifest
from service.media import png

ALL = ("encode", "decode", "generate")
SLOW_VALUES_PER_MS = 750_000

Arrays = dict[str, NDArray[Any]]


def write_tiny(root: Path, name: str = "tiny", version: int = 1, **options: Any) -> Path:
    """Write a tiny checkpoint, options as in `describe_tiny`, and return its folder."""
    return checkpoint.write(root, *describe_tiny(name, version, **options))


def describe_tiny(
    name: str = "tiny",
    version: int = 1,
    *,
    operations: Sequence[str] = ALL,
    channels: int = 1,
    size: int | None = 8,
    stride: int = 1,
    latent: tuple[int | None, ...] = (4,),
    latent_fields: Mapping[str, Any] = {},
    image_fields: Mapping[str, Any] = {},
    logvar: bool = False,
    classes: Sequence[str] | None = None,
    null_label: str | None = None,
    domains: tuple[str, str] | None = None,
    default_for: Sequence[str] = (),
    value_range: tuple[float, float] = (0.0, 1.0),
    preferred_batch: int = 32,
    colour: float | None = None,
    slow_ms: float = 0,
    endless: Literal["loop", "node"] | None = None,
    reference: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest without `files`, and the files; change either to write a checkpoint that lies.

    `domains=(a, b)` adds translate both ways. `size=None` takes any multiple of `stride` and then offers
    encode (of the mean colour) and translate alone; with `latent=(c, None, None)` also decode: then both are
    convolutions of `stride` x `stride` patches. `colour` makes every decoded, generated and translated
    pixel that value. `slow_ms` makes every run of every graph take about that long, whatever the batch.
    `endless` is a loop, which can be left between two rounds, or a single node, which cannot be left.
    `reference` adds training images of these classes (`reference_arrays`).
    """
    labels = len(classes or ()) + bool(null_label)
    build = _Builder(channels, size, stride, latent, value_range, labels, colour, slow_ms, endless, seed)
    models: dict[str, ModelProto] = {}
    if "encode" in operations:
        models["encode"] = build.encode(logvar)
    if "decode" in operations:
        models["decode"] = build.decode(labelled=False)
    if "generate" in operations:
        models["generate"] = build.decode(labelled=labels > 0)
    for domain in domains or ():
        models[f"translate.{domain}"] = build.translate()

    graphs, golden, files = {}, {}, {}
    for key, model in models.items():
        checker.check_model(model)
        files[f"{key}.onnx"] = model.SerializeToString()
        inputs = build.example(model)
        outputs = run_onnx(files[f"{key}.onnx"], inputs)
        golden |= {f"{key}.in.{tensor}": value for tensor, value in inputs.items()}
        golden |= {f"{key}.out.{tensor}": value for tensor, value in outputs.items()}
        graphs[key] = {
            "graph": f"{key}.onnx",
            "inputs": [_tensor_spec(value) for value in model.graph.input],
            "outputs": [_tensor_spec(value) for value in model.graph.output],
            "preferred_batch": preferred_batch,
        }
    files["golden.npz"] = to_npz(golden)
    files["preview.png"] = png.write(np.zeros((2, 2), np.uint8))
    if reference:
        files["reference.npz"] = to_npz(reference_arrays(int(np.prod(latent)), len(reference)))

    offered: dict[str, Any] = {key: graph for key, graph in graphs.items() if "." not in key}
    if domains:
        offered["translate"] = {
            to: {**graphs[f"translate.{to}"], "from": source}
            for to, source in zip(domains, reversed(domains), strict=True)
        }
    description = {
        "schema": 1,
        "name": name,
        "version": version,
        "family": "tiny",
        "title": f"A tiny checkpoint named {name}",
        "licence": "CC0-1.0",
        "image": {
            "channels": channels,
            "height": size,
            "width": size,
            "stride": stride,
            "range": list(value_range),
            **image_fields,
        },
        "latent": {"shape": list(latent), "prior": {"kind": "normal"}, **latent_fields}
        if operations
        else None,
        "classes": list(classes) if classes else None,
        "null_label": null_label,
        "domains": list(domains) if domains else None,
        "operations": offered,
        "default_for": list(default_for),
        "data": {"name": "none", "sha256": "0" * 64, "split": "train", "seed": 0},
        "training": {
            "recipe": "tiny",
            "config": {},
            "seed": seed,
            "steps": 0,
            "images_seen": 0,
            "seconds": 0.0,
            "device": "cpu",
            "libraries": {},
            "commit": None,
        },
        "metrics": {},
        "parity": {},
        "golden": {"file": "golden.npz", "tolerance": 1e-3},
        "reference": {"classes": list(reference)} if reference else None,
    }
    return description, files


def tiny_manifest(**options: Any) -> Manifest:
    """Return the manifest of a tiny checkpoint that is written nowhere."""
    return Manifest.model_validate(with_records(*describe_tiny(**options)))


def with_records(description: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return a description with its files on record, their hashes made up."""
    records = {name: {"sha256": "0" * 64, "bytes": len(data)} for name, data in files.items()}
    return {**description, "files": records}


def reference_arrays(size: int, classes: int, rows: int = 60) -> Arrays:
    """Return the arrays of a reference.npz: latents from N(0, I), each class moved by its number."""
    rng = np.random.default_rng(7)
    labels = np.arange(rows) % classes
    return {
        "latents": (rng.normal(size=(rows, size)) + labels[:, None]).astype(np.float32),
        "labels": labels,
        "thumbnails": rng.integers(0, 256, (rows, 8, 8), dtype=np.uint8),
        "centre": np.full(size, 0.5, np.float32),
        "axes": np.eye(2, size, dtype=np.float32),
        "mean": np.zeros(size, np.float32),
        "whitening": np.eye(size, dtype=np.float32),
        "distances": np.arange(1, 100, dtype=np.float32),
        "errors": np.linspace(0.01, 0.99, 99, dtype=np.float32),
    }


def run_onnx(graph: bytes, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
    """Run a graph once, outside the service."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def to_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as the bytes of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


class _Builder:
    """Makes the graphs of one tiny checkpoint."""

    def __init__(
        self,
        channels: int,
        size: int | None,
        stride: int,
        latent: tuple[int | None, ...],
        value_range: tuple[float, float],
        labels: int,
        colour: float | None,
        slow_ms: float,
        endless: Literal["loop", "node"] | None,
        seed: int,
    ) -> None:
        self.image = (channels, size, size)
        self.latent = latent
        self.stride = stride
        self.low, self.high = value_range
        self.labels = labels
        self.colour = colour
        self.slow_ms = slow_ms
        self.endless = endless
        self.rng = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def encode(self, logvar: bool) -> ModelProto:
        outputs = ["latents", "logvar"] if logvar else ["latents"]
        if None in self.latent:
            for output in outputs:
                self._patches("Conv", "images", f"{output}_fast")
                self._output(output)
            return self._model({"images": self.image}, dict.fromkeys(outputs, self.latent))
        size = self.image[1]
        if size is None:
            self._node("GlobalAveragePool", ["images"], "pooled")
        features = self.image[0] * (size * size if size else 1)
        self._node("Flatten", ["images" if size else "pooled"], "flat")
        for output in outputs:
            weight = self.rng.normal(size=(features, int(np.prod(self.latent)))) / features
            self._node("MatMul", ["flat", self._constant(weight)], f"{output}_flat")
            self._node("Reshape", [f"{output}_flat", self._shape(self.latent)], f"{output}_fast")
            self._output(output)
        return self._model({"images": self.image}, dict.fromkeys(outputs, self.latent))

    def _patches(self, kind: str, source: str, output: str) -> None:
        """Add a convolution of patches that touch and do not overlap, or its transpose."""
        shape = (self.latent[0], self.image[0], self.stride, self.stride)
        weight = self.rng.normal(size=shape) / self.stride
        sides = [self.stride, self.stride]
        self._node(kind, [source, self._constant(weight)], output, kernel_shape=sides, strides=sides)

    def decode(self, labelled: bool) -> ModelProto:
        if None in self.latent:
            self._patches("ConvTranspose", "latents", "shifted")
            self._node("Add", ["shifted", self._constant((self.low + self.high) / 2)], "images_fast")
            self._output("images")
            return self._model({"latents": self.latent}, {"images": self.image})
        pixels = int(np.prod(self.image))
        weight = self.rng.normal(size=(int(np.prod(self.latent)), pixels)) * 0.1 * (self.high - self.low)
        middle = (self.low + self.high) / 2
        if self.colour is not None:
            weight, middle = weight * 0, self.colour
        self._node("Flatten", ["latents"], "flat")
        self._node("MatMul", ["flat", self._constant(weight)], "product")
        self._node("Add", ["product", self._constant(middle)], "finite")
        self._node("Mul", ["flat", "flat"], "squares")
        self._node("MatMul", ["squares", self._constant(weight * 0)], "nothing")
        self._node("Add", ["finite", "nothing"], "shifted" if self.endless is None else "ending")
        if self.endless:
            self._node("Add", ["ending", self._endless()], "shifted")
        inputs: dict[str, tuple[int | None, ...]] = {"latents": self.latent}
        if labelled:
            step = 0 if self.colour is not None else 0.05
            table = step * np.arange(self.labels)[:, None] * np.ones((1, pixels))
            self._node("Gather", [self._constant(table), "labels"], "by_label")
            self._node("Add", ["shifted", "by_label"], "labelled")
            inputs["labels"] = ()
        flat = "labelled" if labelled else "shifted"
        self._node("Reshape", [flat, self._shape(self.image)], "images_fast")
        self._output("images")
        return self._model(inputs, {"images": self.image})

    def _endless(self) -> str:
        """Return a zero that is long in coming if a number of the latents is 1e6."""
        self._node("ReduceMax", ["flat"], "top", keepdims=0)
        self._node("Clip", ["top", self._constant(1), self._constant(1e6)], "top_clipped")
        self._node("Cast", ["top_clipped"], "rounds", to=TensorProto.INT64)
        if self.endless == "loop":
            self._node("Mul", ["rounds", "rounds"], "many_rounds")
            self._node("Loop", ["many_rounds", "", self._constant(0)], "looped", body=sines())
        else:
            self._node("Reshape", ["rounds", self._shape(())], "count")
            one, four = (self._constant([size], np.int64) for size in (1, 4))
            self._node("Concat", [one, "count", four], "boxes_shape", axis=0)
            self._node("Concat", [one, one, "count"], "scores_shape", axis=0)
            self._node("Expand", [self._constant([[[0, 0, 1, 1]]]), "boxes_shape"], "boxes")
            self._node("Expand", [self._constant([[[1]]]), "scores_shape"], "scores")
            self._node("NonMaxSuppression", ["boxes", "scores", "count", self._constant([1])], "kept")
            self._node("Cast", ["kept"], "kept_numbers", to=TensorProto.FLOAT)
            self._node("ReduceMax", ["kept_numbers"], "looped", keepdims=0)
        self._node("Mul", ["looped", self._constant(0)], "endless_nothing")
        return "endless_nothing"

    def translate(self) -> ModelProto:
        scale, shift = (-1.0, self.low + self.high) if self.colour is None else (0.0, self.colour)
        self._node("Mul", ["images", self._constant(scale)], "scaled")
        self._node("Add", ["scaled", self._constant(shift)], "translated_fast")
        self._output("translated")
        return self._model({"images": self.image}, {"translated": self.image})

    def example(self, model: ModelProto) -> Arrays:
        """Return one row of inputs for the golden sample."""
        found: Arrays = {}
        for value in model.graph.input:
            shape = [axis.dim_value or 8 for axis in value.type.tensor_type.shape.dim][1:]
            if value.name == "labels":
                found["labels"] = np.ones(1, np.int64)
            elif value.name == "images":
                found["images"] = self.rng.uniform(self.low, self.high, (1, *shape)).astype(np.float32)
            else:
                found["latents"] = self.rng.normal(size=(1, *shape)).astype(np.float32)
        return found

    def _output(self, name: str) -> None:
        """Name the output, behind a loop that costs `slow_ms` and changes nothing where that is asked for."""
        if not self.slow_ms:
            self._node("Identity", [f"{name}_fast"], name)
            return
        rounds = max(1, round(self.slow_ms))
        source = self.nodes[0].input[0]
        self._node("Shape", [source], "slow_shape")
        self._node("ReduceMin", ["slow_shape"], "slow_rows", keepdims=0)
        self._node("Cast", ["slow_rows"], "slow_seed", to=TensorProto.FLOAT)
        values = self._constant(np.array([SLOW_VALUES_PER_MS]), np.int64)
        self._node("Expand", ["slow_seed", values], "slow_start")
        count = self._constant(np.array(rounds), np.int64)
        self._node("Loop", [count, "", "slow_start"], "slow_end", body=sines())
        self._node("ReduceMean", ["slow_end"], "slow_mean", keepdims=0)
        self._node("Mul", ["slow_mean", self._constant(0.0)], "slow_nothing")
        self._node("Add", [f"{name}_fast", "slow_nothing"], name)

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def _constant(self, value: Any, dtype: type = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def _shape(self, shape: tuple[int | None, ...]) -> str:
        return self._constant(np.array([-1, *shape]), np.int64)

    def _model(
        self, inputs: dict[str, tuple[int | None, ...]], outputs: dict[str, tuple[int | None, ...]]
    ) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "tiny",
            [_value_info(name, shape) for name, shape in inputs.items()],
            [_value_info(name, shape) for name, shape in outputs.items()],
            self.constants,
        )
        self.nodes, self.constants = [], []
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def sines() -> GraphProto:
    """Return the body of a loop that takes the sine in each round."""
    return helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["going_on"]),
            helper.make_node("Sin", ["before"], ["after"]),
        ],
        "sines",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("going_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
        ],
    )


def _value_info(name: str, shape: tuple[int | None, ...]) -> Any:
    dtype = TensorProto.INT64 if name == "labels" else TensorProto.FLOAT
    axes = [f"axis_{i}" if axis is None else axis for i, axis in enumerate(shape)]
    return helper.make_tensor_value_info(name, dtype, ["batch", *axes])


def _tensor_spec(value: Any) -> dict[str, Any]:
    tensor = value.type.tensor_type
    return {
        "name": value.name,
        "dtype": "int64" if tensor.elem_type == TensorProto.INT64 else "float32",
        "shape": [axis.dim_value or None for axis in tensor.shape.dim][1:],
    }
