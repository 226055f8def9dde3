"""Answers as lines: one per image, then the end."""

import json
from typing import Any

import numpy as np
import pytest

from service.api import ndjson
from service.api.payload import OutputImages
from service.checkpoint.manifest import ImageSpec

SPEC = ImageSpec(channels=1, height=2, width=2)
IMAGES = OutputImages(np.zeros((2, 1, 2, 2), np.float32), SPEC)


def lines(members: dict[str, Any], first: int = 0) -> list[dict[str, Any]]:
    found = ndjson.of_images(members, first)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in found)
    return [json.loads(line) for line in found]


def test_every_image_has_its_values_and_its_number():
    found = lines({"images": IMAGES, "seeds": [7, 8], "labels": ["a", "b"], "shape": [4]}, first=32)
    assert [one["index"] for one in found] == [32, 33]
    assert [(one["seed"], one["label"]) for one in found] == [(7, "a"), (8, "b")]
    assert set(found[0]) == {"index", "image", "seed", "label"}


def test_values_within_values_are_of_their_image_too():
    found = lines({"images": IMAGES, "cycle": {"images": IMAGES, "l1": np.array([0.5, 1.5], np.float32)}})
    assert [one["cycle"]["l1"] for one in found] == [0.5, 1.5]
    assert isinstance(found[0]["cycle"]["image"], str)


def test_latents_are_rows():
    found = lines({"latents": np.eye(2, dtype=np.float32), "typicality": np.array([0.5, np.nan])})
    assert [one["latent"] for one in found] == [[1, 0], [0, 1]]
    assert [one["typicality"] for one in found] == [0.5, None]


def test_the_last_line_has_what_is_not_of_one_image():
    end = ndjson.of_end({"model": "m", "seeds": [7], "images": IMAGES, "shape": [4]}, 2)
    assert end.endswith(b"\n")
    assert json.loads(end) == {"done": {"count": 2, "model": "m", "shape": [4]}}


def test_values_that_are_not_as_many_as_the_images_are_a_mistake_of_ours():
    with pytest.raises(ValueError, match="zip"):
        lines({"images": IMAGES, "seeds": [7]})
