"""/neighbours: the training images nearest to each image."""

import base64
from typing import Any

import numpy as np
import pytest

from service.media import png
from support.in_process import MAX_IMAGES, InProcess
from support.problem_json import check_problem
from support.tiny_checkpoints import reference_arrays

CLASSES = ("T-shirt/top", "Bag", "Ankle boot")
REFERENCE = reference_arrays(4, len(CLASSES))
IMAGE = base64.b64encode(png.write(np.full((8, 8), 100, np.uint8))).decode()


def neighbours(client: InProcess, **members: Any) -> Any:
    answer = client.post("/neighbours", json=members)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_they_are_the_nearest_latents_in_their_order(client: InProcess):
    point = REFERENCE["latents"][7] + np.float32(0.01)
    (found,) = neighbours(client, latents=[point.tolist()], count=3)["neighbours"]
    distances = np.linalg.norm(REFERENCE["latents"] - point, axis=1)
    order = distances.argsort()[:3]
    assert [one["index"] for one in found] == order.tolist()
    assert found[0]["index"] == 7
    np.testing.assert_allclose([one["distance"] for one in found], distances[order], rtol=1e-3)
    assert [one["label"] for one in found] == [CLASSES[REFERENCE["labels"][i]] for i in order]
    assert base64.b64decode(found[0]["image"]) == png.write(REFERENCE["thumbnails"][7])


def test_points_are_those_of_the_map(client: InProcess):
    rows = REFERENCE["latents"][:2]
    points = neighbours(client, latents=rows.tolist(), count=1)["points"]
    np.testing.assert_allclose(points, (rows - 0.5)[:, :2], atol=1e-5)


def test_an_image_is_found_by_its_latent(client: InProcess):
    latents = client.post("/encode", json={"images": [IMAGE]}).json()["latents"]
    by_image, by_latent = neighbours(client, images=[IMAGE]), neighbours(client, latents=latents)
    assert [one["index"] for one in by_image["neighbours"][0]] == [
        one["index"] for one in by_latent["neighbours"][0]
    ]


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"images": [IMAGE], "latents": [[0.0] * 4]},
        {"images": [IMAGE] * (MAX_IMAGES + 1)},
        {"latents": [[0.0] * 4] * (MAX_IMAGES + 1)},
        {"latents": [[0.0] * 3]},
        {"images": [IMAGE], "count": 0},
    ],
)
def test_what_cannot_be_asked_is_refused(client: InProcess, members: dict[str, Any]):
    check_problem(client.post("/neighbours", json=members), 422, "invalid-field")


def test_a_model_without_training_images_has_none(client: InProcess):
    answer = client.post("/neighbours", json={"images": [IMAGE], "model": "colour"})
    problem = check_problem(answer, 409, "operation-not-offered")
    assert problem["detail"] == "colour has no reference file, so it does not offer neighbours."
