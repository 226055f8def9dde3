"""What /interpolate does with seeds, images and latents as stops."""

import base64
from typing import Any

import numpy as np
import pytest
from httpx import Client

from support.image_files import file, photo
from support.problem_json import check_problem

IMAGE = base64.b64encode(file(photo(20, 20))).decode()
FAR = [3.0, 0.0, 0.0, 0.0]


def walk(client: Client, stops: list[dict[str, Any]], **asked: Any) -> dict[str, Any]:
    response = client.post("/interpolate", json={"stops": stops, **asked})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_ends_are_the_images_of_the_stops(client: Client) -> None:
    found = walk(client, [{"seed": 3, "label": "Bag"}, {"seed": 8, "label": 2}], steps=5)
    for end, seed, label in ((0, 3, "Bag"), (-1, 8, "Ankle boot")):
        drawn = client.post("/generate", json={"seed": seed, "label": label, "return_latents": True}).json()
        assert found["images"][end] == drawn["images"][0]
        np.testing.assert_allclose(found["latents"][end], drawn["latents"][0], atol=1e-6)
    assert found["labels"] == ["Bag", "Bag", "Ankle boot", "Ankle boot", "Ankle boot"]
    assert (found["model"], found["shape"], len(found["images"])) == ("cgan", [4], 5)


def test_a_seed_without_a_label_has_the_class_that_generate_draws(client: Client) -> None:
    drawn = client.post("/generate", json={"seed": 5}).json()
    assert walk(client, [{"seed": 5}], steps=1)["labels"] == drawn["labels"]


def test_an_image_is_a_stop_where_the_model_encodes(client: Client) -> None:
    found = walk(client, [{"image": IMAGE}, {"latent": FAR}, {"image": IMAGE}], steps=3, path="linear")
    assert found["model"] == "vae"
    encoded = client.post("/encode", json={"images": [IMAGE]}).json()["latents"][0]
    np.testing.assert_allclose(found["latents"], [encoded, FAR, encoded], atol=1e-6)
    decoded = client.post("/decode", json={"latents": [FAR]}).json()["images"][0]
    assert found["images"][1] == decoded


def test_the_two_paths_differ_between_the_stops_alone(client: Client) -> None:
    stops = [{"latent": FAR}, {"latent": FAR[::-1]}]
    straight, around = (walk(client, stops, model="vae", steps=3, path=path) for path in ("linear", "slerp"))
    assert straight["latents"][::2] == around["latents"][::2]
    assert np.linalg.norm(straight["latents"][1]) < 2.2
    assert np.linalg.norm(around["latents"][1]) == pytest.approx(3)


@pytest.mark.parametrize(
    ("model", "stop", "words"),
    [("cgan", {"image": IMAGE}, "no encoder"), ("colour", {"seed": 1}, "from no seed")],
)
def test_a_stop_that_the_model_cannot_find_is_409_that_says_so(
    client: Client, model: str, stop: dict[str, Any], words: str
) -> None:
    response = client.post("/interpolate", json={"stops": [stop], "model": model})
    assert words in check_problem(response, 409, "operation-not-offered")["detail"]


def test_a_model_that_makes_no_images_of_latents_is_409(client: Client) -> None:
    for model in ("bags-boots", "any-size"):
        response = client.post("/interpolate", json={"stops": [{"seed": 1}], "model": model})
        check_problem(response, 409, "operation-not-offered")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"stops": []}, ["body", "stops"]),
        ({"stops": [{"seed": 0}] * 65}, ["body", "stops"]),
        ({"stops": [{}]}, ["body", "stops", 0]),
        ({"stops": [{"seed": 1, "latent": FAR}]}, ["body", "stops", 0]),
        ({"stops": [{"seed": -1}]}, ["body", "stops", 0, "seed"]),
        ({"stops": [{"seed": 1}, {"latent": [1.0]}]}, ["body", "stops", 1, "latent"]),
        ({"stops": [{"seed": 1}, {"latent": [1e39] * 4}]}, ["body", "stops", 1, "latent"]),
        ({"stops": [{"latent": FAR}]}, ["body", "stops", 0, "label"]),
        ({"stops": [{"seed": 1, "label": "Hat"}]}, ["body", "stops", 0, "label"]),
        ({"stops": [{"latent": FAR, "label": 1}], "model": "vae"}, ["body", "stops", 0, "label"]),
        ({"stops": [{"image": "?"}]}, ["body", "stops", 0, "image"]),
        ({"stops": [{"seed": 1}], "steps": 0}, ["body", "steps"]),
        ({"stops": [{"seed": 1}], "steps": 17}, ["body", "steps"]),
        ({"stops": [{"seed": 1}], "path": "curved"}, ["body", "path"]),
    ],
)
def test_a_refusal_names_its_field(client: Client, body: dict[str, Any], place: list[str | int]) -> None:
    problem = check_problem(client.post("/interpolate", json=body), 422, "invalid-field")
    assert problem["errors"][0]["loc"] == place
