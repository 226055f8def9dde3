"""The seeds of a request's images, up to the largest that there is."""

import pytest

from service.errors import InvalidField
from service.latent_space import seeds
from service.latent_space.sampling import MAX_SEED


def test_every_image_has_a_seed_of_its_own():
    assert seeds.spread(7, 3) == [7, 8, 9]
    assert seeds.spread(0, 1) == [0]


def test_the_last_image_may_have_the_largest_seed_and_none_a_larger_one():
    assert seeds.spread(MAX_SEED - 2, 3) == [MAX_SEED - 2, MAX_SEED - 1, MAX_SEED]
    with pytest.raises(InvalidField) as refusal:
        seeds.spread(MAX_SEED - 1, 3, "query")
    assert refusal.value.fields == [(("query", "seed"), f"with 3 images at most {MAX_SEED - 2}")]


def test_without_a_seed_each_request_draws_another_with_room_for_any_number_of_images():
    drawn = {seeds.first(None, 1_000_000) for _ in range(100)}
    assert len(drawn) == 100
    assert all(0 <= seed <= MAX_SEED - 1_000_000 for seed in drawn)
