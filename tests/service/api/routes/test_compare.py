"""/compare: whether two sets of images differ."""

import base64
from typing import Any

import numpy as np
import pytest

from service.media import png
from support.in_process import MAX_IMAGES, InProcess
from support.problem_json import check_problem

RNG = np.random.default_rng(0)


def images(count: int, low: int, high: int, side: int = 8) -> list[str]:
    pixels = RNG.integers(low, high, (count, side, side), np.uint8)
    return [base64.b64encode(png.write(one)).decode() for one in pixels]


DARK, LIGHT = images(4, 0, 60), images(4, 190, 256)


def compare(client: InProcess, **members: Any) -> Any:
    answer = client.post("/compare", json=members)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_two_sets_are_compared_by_their_latents(client: InProcess):
    found = compare(client, a=DARK, b=LIGHT)
    assert (found["n"], found["space"]) == ([4, 4], "latent means of vae")
    assert found["wasserstein"] > compare(client, a=DARK, b=images(4, 0, 60))["wasserstein"]
    assert all(0 <= found[f"{name}_p"] <= 1 for name in ("kl", "js", "wasserstein", "mmd"))


def test_one_set_is_compared_with_the_training_data(client: InProcess):
    found = compare(client, a=DARK)
    assert found["n"][0] == 4
    assert found["n"][1] > 4


@pytest.mark.parametrize(
    ("members", "loc"),
    [
        ({"a": DARK[:1]}, ["body", "a"]),
        ({"a": DARK, "b": LIGHT[:1]}, ["body", "b"]),
        ({"a": DARK + LIGHT[: MAX_IMAGES + 1 - 4]}, ["body", "a"]),
        ({"a": DARK, "b": [*LIGHT, "x"][-4:]}, ["body", "b", 3]),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(client: InProcess, members: Any, loc: list[Any]):
    problem = check_problem(client.post("/compare", json=members), 422, "invalid-field")
    assert problem["errors"][0]["loc"] == loc


def test_a_model_without_training_data_needs_a_second_set(client: InProcess):
    problem = check_problem(
        client.post("/compare", json={"a": DARK, "model": "colour"}), 409, "operation-not-offered"
    )
    assert problem["detail"] == "colour has no reference file to compare with; give b."
