"""From a folder to a model that runs: what is tried before it serves, and what is refused."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper, numpy_helper

from service import checkpoint
from service.checkpoint import CheckpointError
from service.errors import QueueFull
from support.hostile_checkpoints import Files, change_golden, reseal, spoil_weights
from support.loaded_models import QUEUE_ROWS, load_folder, load_tiny
from support.tiny_checkpoints import describe_tiny, run_onnx, write_tiny

NOT_FINITE = "gives numbers that are not finite"
IMAGES, TENSOR = "encode.in.images", "encode.in.images is not of the type and shape"
Spoil = Callable[[Files], None]


async def test_a_model_computes_what_its_graphs_compute(tmp_path: Path):
    _, files = describe_tiny(domains=("a", "b"))
    model = load_tiny(tmp_path, domains=("a", "b"))
    images = {"images": np.random.default_rng(0).random((3, 1, 8, 8), np.float32)}
    for key in ("encode", "translate.a"):
        found, expected = await model.run(key, images, math.inf), run_onnx(files[f"{key}.onnx"], images)
        assert all(np.array_equal(found[name], value) for name, value in expected.items())
        assert found.keys() == expected.keys()


async def test_as_many_rows_wait_as_the_queue_holds_and_one_more_is_refused(tmp_path: Path):
    model = load_tiny(tmp_path, operations=("decode",))
    rows = np.zeros((QUEUE_ROWS + 1, 4), np.float32)
    with pytest.raises(QueueFull):
        await model.run("decode", {"latents": rows}, math.inf)
    found = await model.run("decode", {"latents": rows[1:]}, math.inf)
    assert len(found["images"]) == QUEUE_ROWS


def test_its_place_may_be_said_where_its_folder_does_not(tmp_path: Path):
    moved = shutil.move(write_tiny(tmp_path, version=3), tmp_path / "model")
    with pytest.raises(CheckpointError, match="the folder says otherwise"):
        load_folder(moved)
    assert load_folder(moved, place=("tiny", 3)).manifest.version == 3
    with pytest.raises(CheckpointError, match="the folder says otherwise"):
        load_folder(moved, place=("tiny", 4))


@pytest.mark.parametrize("key", ["latents", "images"])
def test_a_golden_sample_within_the_tolerance_passes_and_beyond_it_fails(tmp_path: Path, key: str):
    """Of images the span is that of the range, of latents that of the sample's own numbers."""
    operation = {"latents": "encode", "images": "decode"}[key]
    span = {"images": 2.0}

    def strayed(version: int, error: float) -> Path:
        description, files = describe_tiny(version=version, value_range=(-1.0, 1.0))

        def stray(arrays: dict[str, Any]) -> None:
            values = arrays[f"{operation}.out.{key}"]
            arrays[f"{operation}.out.{key}"] = values + np.float32(error * span.get(key, np.ptp(values)))

        change_golden(files, stray)
        return checkpoint.write(tmp_path, description, files)

    load_folder(strayed(1, 0.95e-3))
    with pytest.raises(CheckpointError, match=rf"{operation} is off by 0.001\d* of the range of {key}"):
        load_folder(strayed(2, 1.05e-3))


SPOILT: dict[str, tuple[Spoil, str]] = {
    "NaN weight": (lambda files: spoil_weights(files, "decode", math.nan), f"decode {NOT_FINITE}"),
    "wrong weight": (lambda files: spoil_weights(files, "decode", 5.0), "golden sample: decode is off by"),
    "NaN output": (
        lambda files: change_golden(files, lambda arrays: arrays["decode.out.images"].fill(math.nan)),
        "decode.out.images has numbers that are not finite",
    ),
    "no output": (
        lambda files: change_golden(files, lambda arrays: arrays.pop("encode.out.latents")),
        "encode.out.latents is missing",
    ),
    "graphs swapped": (
        lambda files: files.update(
            {"decode.onnx": files["encode.onnx"], "encode.onnx": files["decode.onnx"]}
        ),
        "inputs are not those of the manifest",
    ),
    "no graph": (lambda files: files.update({"decode.onnx": bytes(1000)}), "not a graph that can be run"),
    **{
        name: (
            lambda files, array=array: change_golden(files, lambda old: old.update({IMAGES: array})),
            reason,
        )
        for name, array, reason in (
            ("input of another shape", np.zeros((1, 1, 9, 8), np.float32), TENSOR),
            ("input of another type", np.zeros((1, 1, 8, 8)), TENSOR),
            ("input without rows", np.zeros((0, 1, 8, 8), np.float32), TENSOR),
            ("unequal rows", np.zeros((2, 1, 8, 8), np.float32), "encode has not the same rows everywhere"),
        )
    },
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_checkpoint_is_refused_with_its_reason(tmp_path: Path, name: str):
    spoil, reason = SPOILT[name]
    description, files = describe_tiny()
    spoil(files)
    with pytest.raises(CheckpointError, match=reason):
        load_folder(checkpoint.write(tmp_path, description, files))


def test_a_label_that_alone_breaks_a_graph_is_found(tmp_path: Path):
    description, files = describe_tiny(operations=("generate",), classes=tuple("abcdefghij"))
    spoil_weights(files, "generate", math.nan)  # the row of label 0; the golden sample has label 1
    with pytest.raises(CheckpointError, match=NOT_FINITE):
        load_folder(checkpoint.write(tmp_path, description, files))


def test_a_graph_that_gives_one_row_for_all_is_refused(tmp_path: Path):
    """Its golden sample, of one row, fits."""
    description, files = describe_tiny(operations=("decode",))
    model = ModelProto.FromString(files["decode.onnx"])
    model.graph.node[-1].output[0] = "rows_images"
    model.graph.initializer.append(numpy_helper.from_array(np.array([True]), "first"))
    model.graph.node.append(helper.make_node("Compress", ["rows_images", "first"], ["images"], axis=0))
    files["decode.onnx"] = model.SerializeToString()
    with pytest.raises(CheckpointError, match="decode does not return one row per row"):
        load_folder(checkpoint.write(tmp_path, description, files))


def test_a_golden_sample_has_to_be_met_exactly_where_no_tolerance_is_given(tmp_path: Path):
    folder = write_tiny(tmp_path)
    reseal(folder, lambda manifest: manifest["golden"].update(tolerance=-1.0))
    with pytest.raises(CheckpointError, match="is off by 0 of the range"):
        load_folder(folder)
