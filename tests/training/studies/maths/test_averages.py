import math

import numpy as np
import pytest
from scipy import stats

from training.studies.maths.averages import (
    DRAWS,
    SUMS,
    distance_to_gaussian,
    excess_kurtosis,
    huber_location,
    mean,
    median,
    running_means,
    spread,
    trimmed_mean,
)

SAMPLE = np.random.default_rng(0).standard_cauchy(2000)


@pytest.mark.parametrize("name", ["gaussian", "uniform", "laplace", "exponential"])
def test_law_has_mean_zero_and_deviation_one(name):
    sample = DRAWS[name](np.random.default_rng(1), 200_000)
    assert sample.mean() == pytest.approx(0, abs=0.01)
    assert sample.std() == pytest.approx(1, abs=0.01)


def test_trimmed_mean_is_scipys():
    assert trimmed_mean(SAMPLE) == pytest.approx(stats.trim_mean(SAMPLE, 0.1))


def test_huber_location_balances_the_clipped_residuals():
    assert np.clip(SAMPLE - huber_location(SAMPLE), -1, 1).mean() == pytest.approx(0, abs=1e-9)


def test_one_number_moves_the_mean_and_none_of_the_others():
    spoiled = np.append(SAMPLE, 1e9)
    assert abs(mean(spoiled) - mean(SAMPLE)) > 1e5
    for estimate in (median, trimmed_mean, huber_location):
        assert estimate(spoiled) == pytest.approx(estimate(SAMPLE), abs=0.01)


def test_gaussian_means_narrow_and_cauchy_means_do_not():
    narrowing = {}
    for name in ("gaussian", "cauchy"):
        few, many = (spread(DRAWS[name], {"mean": mean}, count, 200)["mean"] for count in (20, 2000))
        narrowing[name] = few / many
    assert narrowing["gaussian"] == pytest.approx(10, rel=0.3)
    assert narrowing["cauchy"] == pytest.approx(1, rel=0.3)


def test_last_running_mean_is_the_mean():
    sample = DRAWS["laplace"](np.random.default_rng(5), 100)
    assert running_means(DRAWS["laplace"], 100, 5)[-1] == pytest.approx(sample.mean())


def test_distance_to_gaussian_is_scipys():
    sample = np.random.default_rng(2).laplace(size=3000)
    assert distance_to_gaussian(sample) == pytest.approx(stats.kstest(sample, "norm").statistic)


@pytest.mark.parametrize(("name", "kurtosis"), [("uniform", -1.2), ("laplace", 3.0)])
def test_kurtosis_of_a_sum_falls_as_one_over_its_terms(name, kurtosis):
    for terms in (1, 4):
        sums = SUMS[name].scaled(np.random.default_rng(terms), terms, 200_000)
        assert sums.std() == pytest.approx(1, abs=0.01)
        assert excess_kurtosis(sums) == pytest.approx(kurtosis / terms, abs=0.1)


@pytest.mark.parametrize("name", ["one term dominates", "terms share their deviation", "cauchy"])
def test_other_sums_stay_away_from_a_gaussian(name):
    near = distance_to_gaussian(SUMS["uniform"].scaled(np.random.default_rng(0), 16, 50_000))
    far = distance_to_gaussian(SUMS[name].scaled(np.random.default_rng(0), 16, 50_000))
    assert far > 4 * near
    if SUMS[name].has_moments:
        assert SUMS[name].scaled(np.random.default_rng(1), 16, 50_000).std() == pytest.approx(1, abs=0.02)


def test_cauchy_sums_have_a_gaussians_quartiles():
    sums = SUMS["cauchy"].scaled(np.random.default_rng(3), 8, 100_000)
    assert np.quantile(sums, 0.75) == pytest.approx(stats.norm.ppf(0.75), rel=0.03)
    assert math.isclose(np.quantile(sums, 0.25), -stats.norm.ppf(0.75), rel_tol=0.03)
