import math
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from scipy import stats
from scipy.integrate import quad
from scipy.special import digamma

from service.comparison import divergences
from service.comparison.permutation_samples import Samples
from training.metrics import divergences as differentiable


def of_two_samples(estimate: Callable) -> Callable:
    @wraps(estimate)
    def of(a: ArrayLike, b: ArrayLike, permutations: int = 1000, seed: int = 0) -> divergences.Estimate:
        return estimate(Samples(a, b, permutations, seed))

    return of


kl, js = of_two_samples(divergences.kl), of_two_samples(divergences.js)
wasserstein, mmd = of_two_samples(divergences.wasserstein), of_two_samples(divergences.mmd)
each = pytest.mark.parametrize("estimate", [kl, js, wasserstein, mmd], ids=lambda function: function.__name__)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def repeated(estimate: Callable, draw: Callable[[], tuple], times: int = 20) -> float:
    return float(np.mean([estimate(*draw(), permutations=0).value for _ in range(times)]))


def shifted(random: np.random.Generator, n: int, m: int, mean: float, deviation: float = 1.0) -> tuple:
    return random.normal(size=(n, 1)), mean + deviation * random.normal(size=(m, 1))


def js_of_gaussians(mean: float) -> float:
    def integrand(x: float) -> float:
        p, q = stats.norm.pdf(x), stats.norm.pdf(x, mean)
        return (p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2

    return quad(integrand, -10, 10 + mean, limit=200)[0]


def test_kl_of_gaussians_is_the_closed_form(random):
    found = repeated(kl, lambda: shifted(random, 250, 250, 1.0, 2.0))
    assert found == pytest.approx(math.log(2) + 2 / 8 - 1 / 2, abs=0.03)
    found = repeated(kl, lambda: shifted(random, 250, 500, 0.5))
    assert found == pytest.approx(0.5**2 / 2, abs=0.03)


@pytest.mark.parametrize("sizes", [(200, 200), (100, 300), (300, 100)])
def test_js_of_gaussians_is_the_quadrature_for_even_and_uneven_samples(random, sizes):
    found = repeated(js, lambda: shifted(random, *sizes, 1.5), 40)
    assert found == pytest.approx(js_of_gaussians(1.5), abs=0.03)


@each
def test_estimate_of_equal_distributions_is_near_zero_whatever_the_sizes(random, estimate):
    scale = {"kl": 0.08, "js": 0.02, "wasserstein": 0.3, "mmd": 0.005}[estimate.__name__]
    for n, m in ((128, 128), (40, 250), (250, 40)):
        found = repeated(estimate, lambda n=n, m=m: (random.normal(size=(n, 4)), random.normal(size=(m, 4))))
        assert abs(found) < scale


def test_js_of_disjoint_samples_is_log_2_where_kl_stays_finite(random):
    a, b = shifted(random, 200, 200, 100.0)
    assert js(a, b, 0).value == pytest.approx(math.log(2), abs=0.01)
    assert 5 < kl(a, b, 0).value < 100 < 100**2 / 2


@pytest.mark.parametrize("sizes", [(50, 50), (30, 77)])
def test_wasserstein_on_the_line_equals_scipys(random, sizes):
    a, b = shifted(random, *sizes, 0.7, 1.5)
    expected = stats.wasserstein_distance(a[:, 0], b[:, 0])
    assert wasserstein(a, b, 0).value == pytest.approx(expected, rel=1e-5)


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection(random):
    a, shift = random.normal(size=(60, 3)), np.array([2.0, -1.0, 0.5])
    directions = divergences._directions(3, 0)
    assert np.linalg.norm(directions, axis=0) == pytest.approx(1.0)
    found = wasserstein(a, a + shift, 0).value
    assert found == pytest.approx(np.abs(shift @ directions).mean(), rel=1e-5)


def test_mmd_equals_a_double_loop(random):
    a, b = random.normal(size=(8, 2)), 1 + random.normal(size=(7, 2))
    pooled = np.concatenate([a, b])
    median = np.median([np.linalg.norm(x - y) for x, y in combinations(pooled, 2)])

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return sum(np.exp(-((x - y) ** 2).sum() / (2 * (factor * median) ** 2)) for factor in (0.5, 1, 2))

    def within(rows: np.ndarray) -> float:
        return float(np.mean([k(x, y) for x, y in combinations(rows, 2)]))

    expected = within(a) + within(b) - 2 * np.mean([k(x, y) for x in a for y in b])
    assert mmd(a, b, 0).value == pytest.approx(expected, rel=1e-9)


def test_mmd_and_wasserstein_equal_the_differentiable_ones(random):
    a, b = random.normal(size=(20, 3)), 1 + random.normal(size=(26, 3))  # an odd number of pairs: one median
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    median = differentiable.median_distance(x, y)
    expected = differentiable.mmd(x, y, differentiable.rbf([0.5 * median, median, 2 * median]))
    assert mmd(a, b, 0).value == pytest.approx(expected.item(), rel=1e-9)
    expected = differentiable.wasserstein_1d(x[:, 0], y[:, 0])
    assert wasserstein(a[:, :1], b[:, :1], 0).value == pytest.approx(expected.item(), rel=1e-5)
    sliced = differentiable.sliced_wasserstein(x, y, 5000, torch.Generator().manual_seed(0), order=1)
    assert wasserstein(a, b, 0).value == pytest.approx(sliced.item(), rel=0.1)


def statistic_of_each_split(estimate: Callable, rows: np.ndarray, n: int) -> Iterator[float]:
    for chosen in combinations(range(len(rows)), n):
        others = [i for i in range(len(rows)) if i not in chosen]
        yield estimate(rows[list(chosen)], rows[others], 0).value


@each
def test_p_value_nears_that_of_all_splits(random, estimate):
    rows = np.concatenate([random.normal(size=(4, 2)), 1.5 + random.normal(size=(5, 2))])
    found = estimate(rows[:4], rows[4:], permutations=4000)
    splits = np.array(list(statistic_of_each_split(estimate, rows, 4)))
    expected = (splits >= found.value - 1e-6 * abs(found.value)).mean()
    assert found.p_value == pytest.approx(
        expected, abs=4 * math.sqrt(expected * (1 - expected) / 4000) + 1e-3
    )


@each
def test_level_is_kept_where_the_distributions_are_equal(random, estimate):
    trials = 300
    rejected = sum(
        estimate(random.normal(size=(15, 2)), random.normal(size=(20, 2)), 99, seed).p_value <= 0.05
        for seed in range(trials)
    )
    assert stats.binomtest(rejected, trials, 0.05).pvalue > 0.001


@each
def test_a_shift_is_found(random, estimate):
    found = [
        estimate(random.normal(size=(64, 4)), 0.7 + random.normal(size=(64, 4)), 199, seed).p_value <= 0.05
        for seed in range(20)
    ]
    assert sum(found) >= 18


@each
def test_same_seed_same_answer_and_another_seed_other_permutations(random, estimate):
    a, b = random.normal(size=(20, 3)), 0.3 + random.normal(size=(20, 3))
    assert estimate(a, b, 200, 1) == estimate(a, b, 200, 1)
    p_values = {estimate(a, b, 200, seed).p_value for seed in range(8)}
    assert len(p_values) > 1


@each
def test_far_from_the_origin_nothing_changes(random, estimate):
    a, b = random.normal(size=(30, 3)), 0.5 + random.normal(size=(30, 3))
    assert estimate(a + 1e6, b + 1e6, 0).value == pytest.approx(estimate(a, b, 0).value, abs=1e-4)


@each
@pytest.mark.parametrize("distinct", [1, 6])
def test_repeated_rows_give_a_finite_value_and_keep_the_level(estimate, distinct):
    rows = np.arange(12.0)[:, None] % distinct * np.ones(2)
    found = [estimate(rows, rows, 99, seed) for seed in range(100)]
    assert all(math.isfinite(each.value) for each in found)
    assert sum(each.p_value <= 0.05 for each in found) <= stats.binom.ppf(0.999, 100, 0.05)


@each
def test_two_rows_each_suffice_and_one_is_refused(random, estimate):
    two = random.normal(size=(2, 3))
    assert math.isfinite(estimate(two, two + 1, 9).value)
    with pytest.raises(ValueError, match="two rows or more"):
        estimate(two[:1], two)
    with pytest.raises(ValueError, match="one length"):
        estimate(two, two[:, :2])


def test_digamma_equals_scipys():
    x = np.array([0.3, 1.0, 2.5, 7.0, 160.0, 5000.0])
    assert divergences._digamma(x) == pytest.approx(digamma(x), rel=1e-10)
