"""What is asked of a generator: seeds, classes and latents of each image, in one part or in several."""

from typing import Any

import numpy as np
import pytest

from service.api import generation
from service.api.requests import GenerateRequest
from service.errors import InvalidField, Location, OperationNotOffered
from service.latent_space import sampling
from support.tiny_checkpoints import tiny_manifest

CLASSES = ("T-shirt/top", "Bag", "Ankle boot")
CGAN = tiny_manifest(operations=("generate",), classes=CLASSES, null_label="any")
PLAIN = tiny_manifest()


def asked(**members: Any) -> GenerateRequest:
    return GenerateRequest.model_validate(members)


def test_each_image_has_a_seed_of_its_own():
    plan = generation.plan(asked(count=3, seed=7, truncation=0.5), PLAIN)
    assert (plan.seeds, plan.labels, plan.classes) == ([7, 8, 9], None, None)
    assert list(plan.inputs) == ["latents"]
    assert (plan.latents.seeds, plan.latents.truncation) == ([7, 8, 9], 0.5)


def test_without_a_seed_one_is_drawn():
    first, second = (generation.plan(asked(), PLAIN).seeds[0] for _ in range(2))
    assert first != second


def test_one_label_is_that_of_all_and_several_are_one_each():
    one = generation.plan(asked(count=2, label="bag"), CGAN)
    assert (one.labels, one.inputs["labels"].tolist()) == (["Bag", "Bag"], [1, 1])  # type: ignore[union-attr]
    several = generation.plan(asked(labels=[2, "T-shirt/top", "any"]), CGAN)
    assert several.labels == ["Ankle boot", "T-shirt/top", "any"]
    assert several.classes is not None
    assert several.classes.tolist() == [2, 0, 3]


def test_a_label_that_is_not_given_is_drawn_from_the_seed_and_is_a_class():
    plan = generation.plan(asked(count=50, seed=0), CGAN)
    assert plan.classes is not None
    assert set(plan.classes.tolist()) == {0, 1, 2}
    assert np.array_equal(plan.classes, sampling.labels(plan.seeds, len(CLASSES)))
    assert plan.labels == [CLASSES[i] for i in plan.classes]


@pytest.mark.parametrize(
    ("manifest", "members", "loc"),
    [
        (CGAN, {"label": "Hat"}, ("body", "label")),
        (CGAN, {"label": 4}, ("body", "label")),
        (CGAN, {"labels": ["Bag", "Hat"]}, ("body", "labels", 1)),
        (PLAIN, {"label": "Bag"}, ("body", "label")),
        (PLAIN, {"labels": ["Bag"]}, ("body", "labels")),
        (PLAIN, {"seed": sampling.MAX_SEED, "count": 2}, ("body", "seed")),
    ],
)
def test_what_the_model_has_not_is_refused(manifest: Any, members: dict[str, Any], loc: Location):
    with pytest.raises(InvalidField) as refusal:
        generation.plan(asked(**members), manifest)
    assert refusal.value.fields[0].loc == loc


def test_a_model_without_latents_draws_nothing():
    translates = tiny_manifest(operations=(), domains=("a", "b"))
    with pytest.raises(OperationNotOffered):
        generation.plan(asked(), translates)


@pytest.mark.parametrize("members", [{"count": 5}, {"labels": [0, 1, 2, "any", 0]}, {"count": 5, "label": 1}])
def test_parts_are_together_what_one_plan_would_be(members: dict[str, Any]):
    whole = generation.plan(asked(seed=7, **members), CGAN)
    found = list(generation.parts(asked(seed=7, **members), CGAN, 2))
    assert [len(part.seeds) for part in found] == [2, 2, 1]
    assert [part.first for part in found] == [0, 2, 4]
    assert [seed for part in found for seed in part.seeds] == whole.seeds
    assert [label for part in found for label in part.labels or []] == whole.labels


def test_parts_without_a_seed_count_on_from_one_that_is_drawn():
    seeds = [seed for part in generation.parts(asked(count=5), PLAIN, 2) for seed in part.seeds]
    assert seeds == list(range(seeds[0], seeds[0] + 5))


def test_a_label_of_a_later_part_is_named_by_its_place_in_the_request():
    found = generation.parts(asked(labels=[0, 1, 2, "Hat"]), CGAN, 2)
    next(found)
    with pytest.raises(InvalidField) as refusal:
        next(found)
    assert refusal.value.fields[0].loc == ("body", "labels", 3)
