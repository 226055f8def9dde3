"""Rows of numbers to latent tensors and back, and every shape that is refused."""

import numpy as np
import pytest

from service.errors import BodyTooLarge, InvalidField, OperationNotOffered
from service.latent_space import latents
from support.tiny_checkpoints import tiny_manifest

FIXED = tiny_manifest(latent=(2, 3))
FREE = tiny_manifest(
    operations=("encode", "decode"), size=None, stride=4, latent=(2, None, None), image_fields={"min_side": 8}
)
TRANSLATOR = tiny_manifest(operations=(), domains=("a", "b"))
PLACE = ("body", "shape")
MAX_PIXELS = 1024


def refused(given: latents.Shape | None, free: bool = True) -> InvalidField:
    with pytest.raises(InvalidField) as refusal:
        latents.shape(FREE if free else FIXED, given, MAX_PIXELS, PLACE)
    assert refusal.value.fields[0].loc == PLACE
    return refusal.value


def test_a_model_that_only_translates_has_no_latent_space():
    for look_up in (latents.spec, latents.fixed_shape):
        with pytest.raises(OperationNotOffered, match="tiny has no latent space"):
            look_up(TRANSLATOR)


def test_the_shape_of_a_latent_need_not_be_given_where_there_is_one_alone():
    assert latents.fixed_shape(FIXED) == (2, 3)
    assert latents.shape(FIXED, None, MAX_PIXELS, PLACE) == (2, 3)
    assert latents.shape(FIXED, (2, 3), MAX_PIXELS, PLACE) == (2, 3)


@pytest.mark.parametrize("given", [(6,), (3, 2), (2, 3, 1), (2, 4), ()])
def test_another_shape_is_refused_with_the_right_one(given: latents.Shape):
    assert "has the shape [2, 3]" in refused(given, free=False).detail


def test_a_latent_without_a_fixed_size_needs_its_shape():
    assert latents.shape(FREE, (2, 8, 8), MAX_PIXELS, PLACE) == (2, 8, 8)
    assert "[2, any, any]: give it, as /encode does" in refused(None).detail
    with pytest.raises(OperationNotOffered, match="no way from one to another"):
        latents.fixed_shape(FREE)


@pytest.mark.parametrize("given", [(3, 8, 8), (2, 0, 8), (2, -4, -4), (2, 8)])
def test_a_latent_of_a_shape_that_no_image_has_is_refused(given: latents.Shape):
    assert "[2, any, any]" in refused(given).detail


def test_the_largest_image_of_a_latent_passes_and_a_larger_one_fails():
    assert latents.shape(FREE, (2, 8, 8), 32 * 32, PLACE) == (2, 8, 8)
    with pytest.raises(BodyTooLarge, match="more than 1023 pixels"):
        latents.shape(FREE, (2, 8, 8), 32 * 32 - 1, PLACE)
    with pytest.raises(BodyTooLarge):
        latents.shape(FREE, (2, 1 << 40, 1 << 40), MAX_PIXELS, PLACE)


def test_the_smallest_image_of_a_latent_passes_and_a_smaller_one_fails():
    assert latents.shape(FREE, (2, 2, 2), MAX_PIXELS, PLACE) == (2, 2, 2)
    assert "are at least 2" in refused((2, 1, 2)).detail


def test_rows_become_a_tensor_and_rows_again():
    rows = [[1.0, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]
    tensor = latents.tensor(rows, (2, 3))
    assert (tensor.shape, tensor.dtype) == ((2, 2, 3), np.float32)
    assert latents.flat(tensor).tolist() == rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 2], [1.0]], "has 2 numbers"),
        ([[1.0, 2], [1.0, 2, 3]], "has 2 numbers"),
        ([[1.0, 2], [1.0, 1e39]], "finite float32"),
        ([[1.0, 2], [-1e39, 1.0]], "finite float32"),
        ([[1.0, 2], [1.0, float("nan")]], "finite float32"),
    ],
)
def test_a_row_that_is_no_latent_is_refused_by_its_number(rows: list[list[float]], message: str):
    with pytest.raises(InvalidField, match=message) as refusal:
        latents.tensor(rows, (2,))
    assert refusal.value.fields[0].loc == ("body", "latents", 1)
    with pytest.raises(InvalidField, match=message) as refusal:
        latents.tensor(rows, (2,), [("body", "stops", 4), ("body", "stops", 7)])
    assert refusal.value.fields[0].loc == ("body", "stops", 7)


def test_the_largest_float32_passes():
    largest = float(np.finfo(np.float32).max)
    assert latents.tensor([[largest, -largest]], (2,)).tolist() == [[largest, -largest]]
