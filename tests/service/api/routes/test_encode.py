"""/encode: the mean of each image, or a draw, and how typical the image is."""

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
NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def expected(checkpoints: Path) -> dict[str, np.ndarray]:
    images = (PIXELS[:, None] / np.float32(255)).astype(np.float32)
    return run_onnx((checkpoints / "vae/1/encode.onnx").read_bytes(), {"images": images})


def encode(client: InProcess, **members: Any) -> Any:
    answer = client.post("/encode", json={"images": TEXTS, **members})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_answer_is_the_posterior_mean(client: InProcess, expected: dict[str, np.ndarray]):
    found = encode(client)
    np.testing.assert_allclose(found["latents"], expected["latents"], rtol=1e-4, atol=1e-6)
    assert (found["shape"], found["model"], "seeds" in found) == ([4], "vae", False)


def test_latents_are_flat_rows_with_their_shape(client: InProcess):
    found = encode(client, model="colour")
    assert (np.shape(found["latents"]), found["shape"]) == ((3, 6), [2, 3])


def test_a_draw_is_that_of_its_seed_wherever_the_image_stands(client: InProcess):
    drawn = encode(client, sample=True, seed=7)
    assert drawn["seeds"] == [7, 8, 9]
    alone = client.post("/encode", json={"images": TEXTS[2:], "sample": True, "seed": 9}).json()
    assert alone["latents"] == drawn["latents"][2:]
    assert not np.allclose(drawn["latents"], encode(client)["latents"])


def test_lines_are_answered_line_by_line_with_the_same(client: InProcess):
    body = b"".join(json.dumps({"image": one}).encode() + b"\n" for one in TEXTS)
    answer = client.post("/encode?sample=true&seed=7", content=body, headers={"content-type": NDJSON})
    *lines, end = map(json.loads, answer.text.splitlines())
    drawn = encode(client, sample=True, seed=7)
    np.testing.assert_allclose([one["latent"] for one in lines], drawn["latents"], rtol=1e-5)
    assert [one["seed"] for one in lines] == drawn["seeds"]
    assert (end["done"]["count"], end["done"]["model"]) == (3, "vae")


def test_an_array_is_answered_with_an_array(client: InProcess, expected: dict[str, np.ndarray]):
    headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    answer = client.post("/encode", content=npy.write(PIXELS), headers=headers)
    found = npy.read(answer.content, np.float32, (2,))
    np.testing.assert_allclose(found, expected["latents"], rtol=1e-4, atol=1e-6)


def test_typicality_is_a_probability(client: InProcess):
    found = encode(client, typicality=True)["typicality"]
    assert len(found) == 3
    assert all(0 <= one <= 1 for one in found)


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"model": "cgan"}, 409, "operation-not-offered"),
        ({"model": "colour", "typicality": True}, 409, "operation-not-offered"),
        ({"model": "colour", "sample": True}, 422, "invalid-field"),
        ({"model": "nothing"}, 404, "unknown-model"),
        ({"seed": 7}, 422, "invalid-field"),
        ({"images": []}, 422, "invalid-field"),
    ],
)
def test_what_cannot_be_done_is_refused(client: InProcess, members: dict[str, Any], status: int, code: str):
    check_problem(client.post("/encode", json={"images": TEXTS, **members}), status, code)
