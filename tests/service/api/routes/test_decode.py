"""/decode: an image of each latent."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.media import npy
from support.in_process import MAX_COUNT, InProcess
from support.problem_json import check_problem
from support.tiny_checkpoints import run_onnx, write_tiny

LATENTS = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
AS_ARRAY = {"accept": "application/x-npy"}


def pixels(client: InProcess, latents: np.ndarray, **members: Any) -> np.ndarray:
    answer = client.post("/decode", json={"latents": latents.tolist(), **members}, headers=AS_ARRAY)
    assert answer.status_code == 200, answer.text
    return npy.read(answer.content, np.uint8, (3, 4))


def test_an_image_is_what_the_graph_gives(client: InProcess, checkpoints: Path):
    expected = run_onnx((checkpoints / "vae/1/decode.onnx").read_bytes(), {"latents": LATENTS})["images"]
    found = pixels(client, LATENTS)
    assert np.abs(found / 255 - expected[:, 0].clip(0, 1)).max() <= 0.5 / 255 + 1e-6


def test_an_array_is_decoded_to_the_same(client: InProcess):
    headers = AS_ARRAY | {"content-type": "application/x-npy"}
    answer = client.post("/decode?model=vae", content=npy.write(LATENTS), headers=headers)
    assert np.array_equal(npy.read(answer.content, np.uint8, (3,)), pixels(client, LATENTS))


def test_where_sizes_are_free_the_shape_says_how_large_the_image_is(tmp_path: Path):
    write_tiny(tmp_path, "free", operations=("encode", "decode"), size=None, stride=4, latent=(2, None, None))
    with InProcess(tmp_path, max_image_pixels=12 * 8) as client:
        row = np.zeros((1, 2 * 3 * 2), np.float32)
        assert pixels(client, row, shape=[2, 3, 2]).shape == (1, 12, 8)
        missing = client.post("/decode", json={"latents": row.tolist()})
        assert check_problem(missing, 422, "invalid-field")["errors"][0]["loc"] == ["body", "shape"]
        large = {"latents": [[0.0] * 14], "shape": [2, 7, 1]}
        check_problem(client.post("/decode", json=large), 413, "body-too-large")


@pytest.mark.parametrize(
    ("members", "loc"),
    [
        ({"latents": [[0.0] * 3]}, ["body", "latents", 0]),
        ({"latents": [[0.0] * 4, [0.0] * 5]}, ["body", "latents", 1]),
        ({"latents": [[0.0] * 4] * (MAX_COUNT + 1)}, ["body", "latents"]),
        ({"latents": [[0.0] * 4], "shape": [5]}, ["body", "shape"]),
    ],
)
def test_latents_that_do_not_fit_are_refused(client: InProcess, members: dict[str, Any], loc: list[Any]):
    problem = check_problem(client.post("/decode", json=members), 422, "invalid-field")
    assert problem["errors"][0]["loc"] == loc


def test_a_row_that_is_not_finite_fails(client: InProcess):
    check_problem(client.post("/decode", json={"latents": [[1e20] * 4]}), 500, "inference-failed")
