"""The members of an answer and the JSON they become."""

import base64
import json

import numpy as np
import pytest

from service.api.payload import OutputImages, dump
from service.checkpoint.manifest import ImageSpec
from service.media import png

GREY = OutputImages(
    np.array([[[[-1.0, 0.0, 2.0]]]], np.float32), ImageSpec(channels=1, height=1, width=3, range=(-1.0, 1.0))
)
COLOUR = OutputImages(np.zeros((2, 3, 4, 5), np.float32), ImageSpec(channels=3, height=4, width=5))


def test_images_are_pixels_without_an_axis_for_grey():
    assert GREY.pixels().tolist() == [[[0, 128, 255]]]
    assert COLOUR.pixels().shape == (2, 4, 5, 3)


def test_in_json_each_image_is_a_png_in_base64():
    (text,) = json.loads(dump({"images": GREY}))["images"]
    file = base64.b64decode(text)
    assert [file] == list(GREY.files()) == [png.write(GREY.pixels()[0])]
    assert [text] == list(GREY)


def test_arrays_are_lists_and_what_is_not_finite_is_null():
    members = {
        "psnr": np.array([np.inf, 1.5], np.float32),
        "seeds": [2**63],
        "mse": float("nan"),
        "n": np.int64(3),
    }
    assert json.loads(dump(members)) == {"psnr": [None, 1.5], "seeds": [2**63], "mse": None, "n": 3}


def test_images_may_be_deeper_in():
    assert len(json.loads(dump({"cycle": {"images": COLOUR}}))["cycle"]["images"]) == 2


def test_anything_else_has_no_place_in_an_answer():
    with pytest.raises(TypeError, match="not JSON serializable: set"):
        dump({"x": {1}})
