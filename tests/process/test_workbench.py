"""Neighbours, maps, comparisons, typicality, and latents that are added up: what the routes answer."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from httpx import Client
from PIL import Image

from service.api import responses
from service.checkpoint import reference
from service.checkpoint.reference import Reference
from support.image_files import file, photo
from support.problem_json import check_problem
from support.tiny_checkpoints import reference_arrays

CLASSES = ("T-shirt/top", "Bag", "Ankle boot")
KNOWN: Reference = reference.read(reference_arrays(4, 3), CLASSES, 4)


def image(seed: int) -> str:
    return base64.b64encode(file(photo(20 + seed, 20))).decode()


IMAGES = [image(seed) for seed in range(4)]


def post(client: Client, route: str, **body: Any) -> dict[str, Any]:
    response = client.post(route, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_neighbours_of_latents_are_training_images_with_their_class(client: Client) -> None:
    given = KNOWN.latents[[3, 31]] + np.float32(0.01)
    found = post(client, "/neighbours", latents=given.tolist(), count=3)
    responses.NeighboursResponse.model_validate(found)
    rows, distances = KNOWN.nearest(given, 3)
    for answered, row, far in zip(found["neighbours"], rows, distances, strict=True):
        assert [one["index"] for one in answered] == row.tolist()
        assert [one["label"] for one in answered] == [CLASSES[index % 3] for index in row]
        assert [one["distance"] for one in answered] == pytest.approx(far.tolist(), rel=1e-5)
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(answered[0]["image"]))))
        assert (shown == KNOWN.thumbnails[row[0]]).all()
    np.testing.assert_allclose(found["points"], KNOWN.positions(given), rtol=1e-5)


def test_neighbours_of_an_image_are_those_of_its_latent(client: Client) -> None:
    latents = post(client, "/encode", images=IMAGES)["latents"]
    by_image = post(client, "/neighbours", images=IMAGES, count=5)
    by_latent = post(client, "/neighbours", latents=latents, count=5)
    for member in ("neighbours", "points"):
        assert by_image[member] == by_latent[member]


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body"]),
        ({"images": IMAGES[:1], "latents": [[0, 0, 0, 0]]}, ["body"]),
        ({"latents": [[0, 0, 0]]}, ["body", "latents", 0]),
        ({"latents": [[0, 0, 0, 0]], "count": 0}, ["body", "count"]),
        ({"latents": [[0, 0, 0, 0]], "count": 101}, ["body", "count"]),
        ({"latents": [[0, 0, 0, 0]] * 5}, ["body", "latents"]),
        ({"images": IMAGES * 2}, ["body", "images"]),
    ],
)
def test_a_wrong_question_for_neighbours_is_422(client: Client, body: Any, loc: list[str | int]) -> None:
    problem = check_problem(client.post("/neighbours", json=body), 422, "invalid-field")
    assert problem["errors"][0]["loc"] == loc


@pytest.mark.parametrize("model", ["colour", "cgan"])
def test_a_model_without_reference_has_no_neighbours_and_no_map(client: Client, model: str) -> None:
    body = {"model": model, "latents": [[0.0] * 6]}
    for response in (client.post("/neighbours", json=body), client.get(f"/models/{model}/map")):
        problem = check_problem(response, 409, "operation-not-offered")
        assert model in problem["detail"]


def test_the_map_has_every_training_image_at_its_place(client: Client) -> None:
    response = client.get("/models/vae/map")
    assert response.status_code == 200
    found = response.json()
    responses.MapResponse.model_validate(found)
    np.testing.assert_allclose(found["points"], KNOWN.positions(KNOWN.latents), rtol=1e-5)
    assert found["labels"] == KNOWN.labels.tolist()
    assert found["classes"] == list(CLASSES)
    sheet = client.get("/models/vae/map/thumbnails")
    assert sheet.headers["content-type"] == "image/png"
    shown = np.asarray(Image.open(io.BytesIO(sheet.content)))
    width, height, columns = found["width"], found["height"], found["columns"]
    for index in (0, 7, 8, 59):
        left, top = index % columns * width, index // columns * height
        assert (shown[top : top + height, left : left + width] == KNOWN.thumbnails[index]).all()


def test_a_map_of_nothing_is_404(client: Client) -> None:
    check_problem(client.get("/models/nothing/map"), 404, "unknown-model")


def test_two_sets_are_compared_by_four_divergences(client: Client) -> None:
    found = post(client, "/compare", a=IMAGES, b=IMAGES)
    responses.CompareResponse.model_validate(found)
    assert found["n"] == [4, 4]
    assert found["space"] == "latent means of vae"
    assert found["mmd"] < 1e-6
    assert found["mmd_p"] > 0.9


def test_a_set_is_compared_with_the_training_images(client: Client) -> None:
    found = post(client, "/compare", a=IMAGES)
    assert found["n"] == [4, 60]
    assert all(0 < found[f"{name}_p"] <= 1 for name in ("mmd", "kl", "js", "wasserstein"))
    assert 0 <= found["mmd_power"] <= 1


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"a": IMAGES[:1]}, ["body", "a"]),
        ({"a": IMAGES, "b": IMAGES[:1]}, ["body", "b"]),
        ({"a": IMAGES * 2}, ["body", "a"]),
        ({"a": IMAGES, "b": [*IMAGES[:3], "?"]}, ["body", "b", 3]),
        ({"b": IMAGES}, ["body", "a"]),
    ],
)
def test_a_wrong_comparison_is_422(client: Client, body: Any, loc: list[str | int]) -> None:
    problem = check_problem(client.post("/compare", json=body), 422, "invalid-field")
    assert problem["errors"][0]["loc"] == loc


def test_without_training_images_both_sets_are_needed(client: Client) -> None:
    body = {"model": "colour", "a": IMAGES}
    check_problem(client.post("/compare", json=body), 409, "operation-not-offered")
    assert post(client, "/compare", b=IMAGES, **body)["n"] == [4, 4]


def test_too_many_comparisons_are_refused_and_the_rest_answered(client: Client) -> None:
    with ThreadPoolExecutor(12) as callers:
        asked = {"a": IMAGES, "b": IMAGES}
        statuses = [
            one.status_code for one in callers.map(lambda _: client.post("/compare", json=asked), range(12))
        ]
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 5


def test_typicality_is_told_where_it_is_asked_for(client: Client) -> None:
    plain = post(client, "/encode", images=IMAGES)
    asked = post(client, "/encode", images=IMAGES, typicality=True)
    assert "typicality" not in plain
    assert asked["latents"] == plain["latents"]
    errors = np.array(post(client, "/reconstruct", images=IMAGES)["mse"], np.float32)
    expected = KNOWN.typicality(np.array(plain["latents"], np.float32), errors)
    assert asked["typicality"] == pytest.approx(expected.tolist(), abs=0.021)


def test_typicality_of_a_model_without_reference_is_409(client: Client) -> None:
    body = {"model": "colour", "images": IMAGES, "typicality": True}
    check_problem(client.post("/encode", json=body), 409, "operation-not-offered")


def test_means_and_directions_are_added_up(client: Client) -> None:
    means = [KNOWN.class_mean(label) for label in range(3)]
    stops = [
        {"mean": "Bag"},
        {"latent": [1, 2, 3, 4], "add": [{"from": "Bag", "to": 2, "strength": -0.5}]},
        {"mean": 0, "add": [{"from": "T-shirt/top", "to": "Bag"}, {"from": "Bag", "to": "Ankle boot"}]},
    ]
    found = post(client, "/interpolate", model="vae", stops=stops, steps=3, path="linear")
    expected = [means[1], np.array([1, 2, 3, 4]) - 0.5 * (means[2] - means[1]), means[2]]
    np.testing.assert_allclose(found["latents"], np.array(expected), atol=1e-5)


@pytest.mark.parametrize(
    ("stop", "loc"),
    [
        ({"mean": "Cat"}, ["body", "stops", 0, "mean"]),
        ({"mean": 3}, ["body", "stops", 0, "mean"]),
        ({"mean": 0, "seed": 1}, ["body", "stops", 0]),
        ({"latent": [0] * 4, "add": [{"from": 0, "to": "Cat"}]}, ["body", "stops", 0, "add", 0, "to"]),
        ({"latent": [0] * 4, "add": [{"from": "Cat", "to": 0}]}, ["body", "stops", 0, "add", 0, "from"]),
        ({"latent": [0] * 4, "add": [{"to": 0}]}, ["body", "stops", 0, "add", 0, "from"]),
        (
            {"latent": [0] * 4, "add": [{"from": 0, "to": 1, "strength": 11}]},
            ["body", "stops", 0, "add", 0, "strength"],
        ),
    ],
)
def test_a_class_that_is_none_is_422(client: Client, stop: Any, loc: list[str | int]) -> None:
    response = client.post("/interpolate", json={"model": "vae", "stops": [stop]})
    problem = check_problem(response, 422, "invalid-field")
    assert problem["errors"][0]["loc"] == loc


def test_means_of_a_model_without_reference_are_409(client: Client) -> None:
    body = {"model": "cgan", "stops": [{"mean": "Bag", "label": "Bag"}]}
    check_problem(client.post("/interpolate", json=body), 409, "operation-not-offered")
