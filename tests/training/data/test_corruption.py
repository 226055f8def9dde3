import math
from typing import get_args

import pytest
import torch
from scipy import stats

from training.data.corruption import NOISES, NoiseKind, corrupt
from training.runtime.randomness import generator

LEVELS = torch.tensor([0.05, 0.3])
GREY = torch.full((2, 1, 300, 300), 0.4, dtype=torch.float64)
LAWS = {
    "gaussian": lambda level: stats.norm(scale=level),
    "uniform": lambda level: stats.uniform(-math.sqrt(3) * level, 2 * math.sqrt(3) * level),
    "laplace": lambda level: stats.laplace(scale=level / math.sqrt(2)),
    "cauchy": lambda level: stats.cauchy(scale=level),
}


def noisy(kind, images=GREY, levels=LEVELS, seed=3):
    return corrupt(images, kind, levels, generator(seed, "noise"))


@pytest.mark.parametrize("kind", LAWS)
def test_added_noise_follows_its_law_at_each_images_level(kind):
    for row, level in zip(noisy(kind) - GREY, LEVELS.tolist(), strict=True):
        # The bound is the distance that a sample of this size exceeds once in a thousand times.
        assert stats.kstest(row.flatten().numpy(), LAWS[kind](level).cdf).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["gaussian", "uniform", "laplace"])
def test_level_is_the_standard_deviation(kind):
    deviations = (noisy(kind) - GREY).flatten(1).std(1)
    torch.testing.assert_close(deviations, LEVELS.double(), rtol=0.02, atol=0)


def test_cauchy_level_is_half_the_distance_between_the_quartiles():
    low, high = torch.quantile(
        (noisy("cauchy") - GREY).flatten(1), torch.tensor([0.25, 0.75]).double(), dim=1
    )
    torch.testing.assert_close((high - low) / 2, LEVELS.double(), rtol=0.03, atol=0)


@pytest.mark.parametrize("kind", ["salt-and-pepper", "mask"])
def test_level_is_the_share_of_numbers_hit(kind):
    shares = (noisy(kind) != GREY).flatten(1).double().mean(1)
    torch.testing.assert_close(shares, LEVELS.double(), rtol=0.03, atol=0)


def test_salt_and_pepper_are_half_and_half():
    image = noisy("salt-and-pepper")[1]
    assert set(image.unique().tolist()) == {0.0, 0.4, 1.0}
    assert (image == 1).sum() / (image != 0.4).sum() == pytest.approx(0.5, abs=0.02)


def test_masked_numbers_are_black():
    assert set(noisy("mask").unique().tolist()) == {0.0, 0.4}


@pytest.mark.parametrize("kind", NOISES)
def test_noise_depends_on_its_generator_alone(kind):
    assert torch.equal(noisy(kind), noisy(kind))
    assert not torch.equal(noisy(kind), noisy(kind, seed=4))


@pytest.mark.parametrize("kind", NOISES)
def test_level_zero_changes_nothing(kind):
    assert torch.equal(noisy(kind, levels=torch.zeros(2)), GREY)


@pytest.mark.parametrize("kind", NOISES)
def test_shape_and_type_stay(kind):
    points = torch.rand(50, 2)
    result = corrupt(points, kind, torch.full((50,), 0.1), generator(0, "points"))
    assert (result.shape, result.dtype) == (points.shape, points.dtype)


def test_noisy_images_are_not_clipped():
    assert noisy("gaussian").min() < 0
    assert noisy("gaussian").max() > 1


def test_float32_noise_is_finite():
    for kind in NOISES:
        assert noisy(kind, images=torch.rand(64, 1, 128, 128), levels=torch.full((64,), 0.2)).isfinite().all()


def test_every_kind_has_its_function():
    assert set(NOISES) == set(get_args(NoiseKind))
