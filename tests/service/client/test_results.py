"""What a call returns: the answers to its requests as one."""

import numpy as np
import pytest

from service.client import results
from service.client.image_inputs import to_base64

PIXELS = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
ANSWERS = [
    {"model": "m", "version": 2, "latents": [[1, 2, 3, 4]], "shape": [2, 2], "labels": ["a"]},
    {"model": "m", "version": 2, "latents": [[5, 6, 7, 8]], "shape": [2, 2], "labels": ["b"]},
]


def test_answers_are_joined_in_their_order():
    assert results.who(ANSWERS) == {"model": "m", "version": 2}
    assert results.latents(ANSWERS).tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert results.latents(ANSWERS).dtype == np.float32
    assert results.joined(ANSWERS, "labels") == ["a", "b"]
    assert results.joined(ANSWERS, "seeds") is None


def test_images_of_all_answers_are_one_array():
    answers = [{"images": [to_base64(PIXELS[0])]}, {"images": list(map(to_base64, PIXELS[1:]))}]
    found = results.images(answers)
    assert np.array_equal(found, PIXELS)
    images = results.Images("m", 1, found).pil()
    assert [image.size for image in images] == [(4, 4)] * 3


def test_null_is_infinite():
    """The psnr of an image that comes back exactly."""
    assert results.floats([{"psnr": [None, 30.5]}], "psnr").tolist() == [np.inf, 30.5]


def test_a_line_has_one_image_and_what_was_asked_for():
    line = {"index": 0, "image": to_base64(PIXELS[0]), "seed": 7}
    plain = results.drawn(line)
    assert np.array_equal(plain.image, PIXELS[0])
    assert (plain.seed, plain.label, plain.latent) == (7, None, None)
    whole = results.drawn(line | {"label": "Bag", "latent": [1, 2]})
    assert whole.label == "Bag"
    assert whole.latent is not None
    assert (whole.latent.dtype, whole.latent.tolist()) == (np.float32, [1, 2])


@pytest.mark.parametrize("size", [8, None])
def test_a_model_says_what_it_offers(size: int | None):
    found = results.model_info(
        {
            "name": "m",
            "version": 2,
            "state": "serving",
            "reason": None,
            "operations": ["encode"],
            "latent": {"shape": [4, None, None]},
            "image": {"channels": 3, "height": size, "width": size, "stride": 4},
            "unknown": "of a later service",
        }
    )
    assert (found.latent_shape, found.image_shape) == ((4, None, None), (3, size, size))
    assert (found.operations, found.classes, found.domains) == (["encode"], None, None)


def test_of_a_refused_one_only_the_reason_is_known():
    found = results.model_info({"name": "m", "version": 2, "state": "refused", "reason": "it is broken"})
    assert (found.state, found.reason, found.operations) == ("refused", "it is broken", [])
    assert (found.latent_shape, found.image_shape) == (None, None)
