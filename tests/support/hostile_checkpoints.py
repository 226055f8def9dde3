"""Checkpoints that somebody made to do harm, each as a change to a tiny one's manifest and files."""

import bz2
import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from service import checkpoint
from support.tiny_checkpoints import describe_tiny, to_npz

Files = dict[str, bytes]
Disguise = Callable[[Files, bytes, np.ndarray], None]


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def set_file(name: str, wrap: Callable[[bytes], bytes] = bytes) -> Disguise:
    """Put the pickle in the place of a file, or beside the others."""

    def change(files: Files, pickled: bytes, _: np.ndarray) -> None:
        files[name] = wrap(pickled)

    return change


def torch_archive(pickled: bytes) -> bytes:
    """Return what torch.save writes: a zip archive with a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def npz_of_pickles(pickled: bytes) -> bytes:
    """Return an archive whose members are pickles with the names of arrays."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("decode.in.latents.npy", pickled)
        archive.writestr("decode.in.latents", pickled)
    return file.getvalue()


def in_a_string(pickled: bytes) -> bytes:
    """Return a graph that carries the pickle as the code of a Python operator."""
    node = helper.make_node("PyOp", ["latents"], ["images"], domain="ai.onnx.contrib", func=pickled)
    graph = helper.make_graph(
        [node],
        "python",
        [helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 1, 8, 8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.contrib", 1)], ir_version=8)
    return model.SerializeToString()


def object_array(files: Files, _: bytes, objects: np.ndarray) -> None:
    file = io.BytesIO()
    np.save(file, objects, allow_pickle=True)
    files["golden.npz"] = file.getvalue()


def object_archive(files: Files, _: bytes, objects: np.ndarray) -> None:
    files["golden.npz"] = to_npz({"decode.in.latents": objects})


def object_field(files: Files, _: bytes, objects: np.ndarray) -> None:
    records = np.array([(1.0, objects[0])], dtype=[("plain", "f4"), ("hidden", "O")])
    files["golden.npz"] = to_npz({"decode.in.latents": records})


GOLDEN: dict[str, Disguise] = {
    "pickle": set_file("golden.npz"),
    "array of objects": object_array,
    "archive of objects": object_archive,
    "record with an object": object_field,
    "archive of pickles": set_file("golden.npz", npz_of_pickles),
    "compressed pickle": set_file("golden.npz", gzip.compress),
    "bzip2 pickle": set_file("golden.npz", bz2.compress),
    "torch file": set_file("golden.npz", torch_archive),
}
"""Pickles in the place of the golden sample."""

GRAPHS: dict[str, Disguise] = {
    "pickle as graph": set_file("decode.onnx"),
    "torch file as graph": set_file("decode.onnx", torch_archive),
    "python operator": set_file("decode.onnx", in_a_string),
}
"""Pickles in the place of a graph."""

INERT: dict[str, Disguise] = {
    "weights": set_file("weights.safetensors"),
    "torch state": set_file("state.pt", torch_archive),
    "reference": set_file("reference.npz", npz_of_pickles),
    "python": set_file("sitecustomize.py", lambda _: b"raise SystemExit('canary')"),
}
"""Pickles, and code, beside what is loaded: nothing ever looks into them."""


def write_disguised(root: Path, name: str, disguise: Disguise, canary: Path) -> Path:
    """Write a checkpoint that is whole by all its hashes and holds a canary."""
    description, files = describe_tiny(name, operations=("decode",))
    pickled = pickle.dumps(Canary(canary))
    disguise(files, pickled, np.array([Canary(canary)], dtype=object))
    return checkpoint.write(root, description, files)


def reseal(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a written manifest and make its hash fit again: a lie that only its content gives away."""
    path = folder / checkpoint.MANIFEST
    document = json.loads(path.read_bytes())
    change(document)
    raw = json.dumps(document).encode()
    path.write_bytes(raw)
    (folder / checkpoint.MANIFEST_HASH).write_text(checkpoint.sha256(raw))


def point_outside(graph: bytes, location: str) -> bytes:
    """Return a graph whose largest weight lies in another file."""
    model = ModelProto.FromString(graph)
    weight = max(model.graph.initializer, key=lambda tensor: tensor.ByteSize())
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    return model.SerializeToString()


def spoil_weights(files: Files, key: str, value: float) -> None:
    """Set one number of a graph's largest weight, behind the golden sample's back."""
    model = ModelProto.FromString(files[f"{key}.onnx"])
    weight = max(model.graph.initializer, key=lambda tensor: tensor.ByteSize())
    changed = numpy_helper.to_array(weight).copy()
    changed.flat[0] = value
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    files[f"{key}.onnx"] = model.SerializeToString()


def change_golden(files: Files, change: Callable[[dict[str, Any]], object]) -> None:
    """Change arrays of the golden sample."""
    with np.load(io.BytesIO(files["golden.npz"])) as archive:
        arrays = dict(archive)
    change(arrays)
    files["golden.npz"] = to_npz(arrays)


def rename_graph(name: str) -> Callable[[dict[str, Any]], None]:
    """Return a change that gives the graph of decode another file name."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = manifest["files"].pop("decode.onnx")
        manifest["operations"]["decode"]["graph"] = name

    return change


def rename_golden(name: str) -> Callable[[dict[str, Any]], None]:
    """Return a change that gives the golden sample another file name."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = manifest["files"].pop("golden.npz")
        manifest["golden"]["file"] = name

    return change
