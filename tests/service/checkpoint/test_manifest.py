"""What a manifest may say of images and latents whose size is free."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.checkpoint.manifest import ImageSpec, LatentSpec, Manifest
from support.tiny_checkpoints import describe_tiny, with_records

FREE: dict[str, Any] = {
    "operations": ("encode", "decode"),
    "size": None,
    "stride": 4,
    "latent": (2, None, None),
}


def described(**options: Any) -> dict[str, Any]:
    return with_records(*describe_tiny(**options))


def test_latents_may_be_as_large_as_their_images():
    manifest = Manifest.model_validate(described(**FREE))
    assert manifest.latent is not None
    assert manifest.latent.is_free
    with pytest.raises(ValueError, match="no fixed shape"):
        _ = manifest.latent.size


@pytest.mark.parametrize("shape", [(None, 4, 4), (4, None), (4, None, 4), (4, 4, None), (None,), (4, 0)])
def test_only_height_and_width_of_a_latent_are_free_and_only_together(shape: tuple[int | None, ...]):
    with pytest.raises(ValidationError):
        LatentSpec(shape=shape)


def test_a_free_latent_needs_images_of_any_size():
    lies = described(**FREE)
    lies["image"] |= {"height": 8, "width": 8}
    with pytest.raises(ValidationError, match="needs images of any size"):
        Manifest.model_validate(lies)


def test_a_free_latent_cannot_be_drawn_and_has_no_reference():
    lies = described(**FREE)
    lies["operations"]["generate"] = lies["operations"]["decode"]
    with pytest.raises(ValidationError, match="excludes generate and a reference"):
        Manifest.model_validate(lies)
    lies = described(**FREE)
    lies["reference"] = {"file": "golden.npz", "classes": ["a"]}
    with pytest.raises(ValidationError, match="excludes generate and a reference"):
        Manifest.model_validate(lies)


@pytest.mark.parametrize(("length", "side"), [(1, 8), (8, 8), (9, 8), (11, 12), (14, 16), (1000, 1000)])
def test_a_free_side_becomes_the_nearest_that_the_graphs_take(length: int, side: int):
    image = ImageSpec(channels=3, height=None, width=None, stride=4, min_side=8)
    assert image.side(length) == side
    assert image.takes(side, side)
    assert image.takes(length, length) == (length == side)


def test_a_checkpoint_can_only_lower_the_limit_of_pixels():
    image = ImageSpec(channels=3, height=None, width=None, max_pixels=100)
    assert (image.pixel_limit(1000), image.pixel_limit(10)) == (100, 10)
