"""/reconstruct: each image as the model gives it back, and how far off that is."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.media import npy, png
from support.in_process import InProcess
from support.problem_json import check_problem
from support.tiny_checkpoints import run_onnx

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
TEXTS = [base64.b64encode(png.write(one)).decode() for one in PIXELS]


@pytest.fixture(scope="module")
def expected(checkpoints: Path) -> np.ndarray:
    images = (PIXELS[:, None] / np.float32(255)).astype(np.float32)
    latents = run_onnx((checkpoints / "vae/1/encode.onnx").read_bytes(), {"images": images})["latents"]
    return run_onnx((checkpoints / "vae/1/decode.onnx").read_bytes(), {"latents": latents})["images"]


def test_distances_are_of_the_image_before_it_is_rounded(client: InProcess, expected: np.ndarray):
    found = client.post("/reconstruct", json={"images": TEXTS}).json()
    mse = ((PIXELS / 255 - expected[:, 0].clip(0, 1)) ** 2).mean(axis=(1, 2))
    np.testing.assert_allclose(found["mse"], mse, rtol=1e-3)
    np.testing.assert_allclose(found["psnr"], -10 * np.log10(mse), rtol=1e-3)
    assert len(found["ssim"]) == len(found["images"]) == 3


def test_images_are_those_of_the_graphs(client: InProcess, expected: np.ndarray):
    headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    answer = client.post("/reconstruct", content=npy.write(PIXELS), headers=headers)
    found = npy.read(answer.content, np.uint8, (3,))
    assert np.abs(found / 255 - expected[:, 0].clip(0, 1)).max() <= 0.5 / 255 + 1e-5


def test_lines_have_the_distances_of_their_image(client: InProcess):
    body = b"".join(json.dumps({"image": one}).encode() + b"\n" for one in TEXTS)
    answer = client.post("/reconstruct", content=body, headers={"content-type": "application/x-ndjson"})
    *lines, end = map(json.loads, answer.text.splitlines())
    together = client.post("/reconstruct", json={"images": TEXTS}).json()
    np.testing.assert_allclose([one["mse"] for one in lines], together["mse"], rtol=1e-5)
    assert end["done"]["count"] == 3


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"model": "any-size"}, 409, "operation-not-offered"),
        ({"model": "cgan"}, 409, "operation-not-offered"),
        ({"sample": True}, 422, "invalid-field"),
    ],
)
def test_what_cannot_be_done_is_refused(client: InProcess, members: dict[str, Any], status: int, code: str):
    check_problem(client.post("/reconstruct", json={"images": TEXTS, **members}), status, code)
