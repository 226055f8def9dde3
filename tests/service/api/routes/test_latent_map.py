"""/models/{name}/map: training images as points on a plane, and a sheet of them."""

import io

import numpy as np
import pytest
from PIL import Image

from service.api import responses
from support.in_process import InProcess
from support.problem_json import check_problem
from support.tiny_checkpoints import reference_arrays

REFERENCE = reference_arrays(4, 3)


def test_points_are_latents_along_the_axes_from_the_centre(client: InProcess):
    found = client.get("/models/vae/map").json()
    responses.MapResponse.model_validate(found)
    centre, axes = np.array(found["centre"]), np.array(found["axes"])
    np.testing.assert_allclose(found["points"], (REFERENCE["latents"] - centre) @ axes.T, atol=1e-5)
    assert found["labels"] == REFERENCE["labels"].tolist()
    assert found["classes"] == ["T-shirt/top", "Bag", "Ankle boot"]


def test_the_sheet_has_every_image_in_its_cell(client: InProcess):
    found = client.get("/models/vae/map").json()
    answer = client.get("/models/vae/map/thumbnails")
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == (
        "image/png",
        "nosniff",
    )
    sheet = np.asarray(Image.open(io.BytesIO(answer.content)))
    height, width, columns = found["height"], found["width"], found["columns"]
    assert columns == 8  # the root of 60, rounded up
    for i, thumbnail in enumerate(REFERENCE["thumbnails"]):
        top, left = i // columns * height, i % columns * width
        assert np.array_equal(sheet[top : top + height, left : left + width], thumbnail)


@pytest.mark.parametrize("end", ["map", "map/thumbnails"])
def test_a_model_without_training_images_has_no_map(client: InProcess, end: str):
    check_problem(client.get(f"/models/colour/{end}"), 409, "operation-not-offered")
    check_problem(client.get(f"/models/nothing/{end}"), 404, "unknown-model")
