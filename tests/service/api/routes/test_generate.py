"""/generate: images out of seeds and classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.checkpoint.manifest import LatentSpec
from service.latent_space import sampling
from support.in_process import MAX_COUNT, InProcess
from support.problem_json import check_problem
from support.tiny_checkpoints import run_onnx

AS_LINES = {"accept": "application/x-ndjson"}


def generate(client: InProcess, **members: Any) -> Any:
    answer = client.post("/generate", json=members)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_image_can_be_drawn_again_from_its_seed(client: InProcess):
    drawn = generate(client, count=3, seed=7)
    assert (drawn["seeds"], len(drawn["labels"])) == ([7, 8, 9], 3)
    assert generate(client, seed=9)["images"] == drawn["images"][2:]
    assert generate(client)["seeds"] != generate(client)["seeds"]


def test_latents_are_those_of_the_prior_and_come_where_asked_for(client: InProcess, checkpoints: Path):
    drawn = generate(client, count=2, seed=7, truncation=0.5, return_latents=True, model="vae")
    expected = sampling.noise([7, 8], LatentSpec(shape=(4,)), 0.5)
    np.testing.assert_allclose(drawn["latents"], expected, rtol=1e-6)
    assert (drawn["shape"], "labels" in drawn) == ([4], False)
    plain = generate(client, count=2, seed=7, truncation=0.5, model="vae")
    assert (plain["images"], "latents" in plain) == (drawn["images"], False)
    graph = (checkpoints / "vae/1/generate.onnx").read_bytes()
    assert run_onnx(graph, {"latents": expected})["images"].shape == (2, 1, 8, 8)


def test_labels_are_names_or_indices(client: InProcess):
    assert generate(client, labels=[1, "ankle boot"])["labels"] == ["Bag", "Ankle boot"]
    assert generate(client, count=2, label=0)["labels"] == ["T-shirt/top"] * 2
    assert generate(client, model="cgan-any", label="any")["labels"] == ["any"]


def test_as_lines_there_may_be_more_than_in_one_answer(client: InProcess):
    count = MAX_COUNT + 20
    answer = client.post("/generate", json={"count": count, "seed": 7, "label": "Bag"}, headers=AS_LINES)
    *lines, end = map(json.loads, answer.text.splitlines())
    assert [one["seed"] for one in lines] == list(range(7, 7 + count))
    assert {one["label"] for one in lines} == {"Bag"}
    assert end["done"]["count"] == count
    assert lines[2]["image"] == generate(client, seed=9, label="Bag")["images"][0]


def test_what_is_wrong_with_a_stream_before_its_first_line_is_refused(client: InProcess):
    wrong = client.post("/generate", json={"count": 3, "label": "Hat"}, headers=AS_LINES)
    check_problem(wrong, 422, "invalid-field")
    endless = client.post("/generate", json={"count": 10**9}, headers=AS_LINES)
    check_problem(endless, 422, "invalid-field")


@pytest.mark.parametrize(
    ("members", "status", "loc"),
    [
        ({"count": MAX_COUNT + 1}, 422, ["body", "count"]),
        ({"labels": [0] * (MAX_COUNT + 1)}, 422, ["body", "labels"]),
        ({"label": "Hat"}, 422, ["body", "label"]),
        ({"count": 0}, 422, ["body", "count"]),
        ({"model": "vae", "label": 0}, 422, ["body", "label"]),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    client: InProcess, members: dict[str, Any], status: int, loc: list[str]
):
    problem = check_problem(client.post("/generate", json=members), status, "invalid-field")
    assert problem["errors"][0]["loc"] == loc


def test_a_model_that_draws_nothing_says_what_it_does(client: InProcess):
    problem = check_problem(
        client.post("/generate", json={"model": "bags-boots"}), 409, "operation-not-offered"
    )
    assert "it offers translate" in problem["detail"]
