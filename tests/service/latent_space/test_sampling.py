import math

import numpy as np
import pytest
from scipy import stats

from service.checkpoint.manifest import LatentSpec
from service.checkpoint.priors import IndependentPrior, MixturePrior
from service.latent_space import sampling

LATENT = LatentSpec(shape=(4, 3))
SEEDS = list(range(20_000))


def philox_words(seed, stream, count):
    """Philox-4x64-10 from its paper; NumPy counts from one block on."""
    words, block = [], 0
    while len(words) < count:
        block += 1
        x, key = [block, 0, 0, 0], [seed, stream]
        for _ in range(10):
            first, second = x[0] * 0xD2E7470EE14C6C93, x[2] * 0xCA5A826395121157
            x = [second >> 64 ^ x[1] ^ key[0], second % 2**64, first >> 64 ^ x[3] ^ key[1], first % 2**64]
            key = [(key[0] + 0x9E3779B97F4A7C15) % 2**64, (key[1] + 0xBB67AE8584CAA73B) % 2**64]
        words += x
    return words[:count]


@pytest.mark.parametrize("seed", [0, 7, sampling.MAX_SEED])
def test_noise_is_the_written_down_transform_of_philox(seed):
    uniform = [(word // 2**11 + 0.5) / 2**53 for word in philox_words(seed, sampling.LATENT_STREAM, 12)]
    expected = []
    for u, v in zip(uniform[::2], uniform[1::2], strict=True):
        radius, angle = math.sqrt(-2 * math.log(u)), 2 * math.pi * v
        expected += [radius * math.cos(angle), radius * math.sin(angle)]
    drawn = sampling.noise([seed], LATENT, 1.0)
    assert drawn.shape == (1, 4, 3)
    assert drawn.dtype == np.float32
    assert drawn.ravel() == pytest.approx(np.float32(expected), rel=1e-6)


def test_a_seed_draws_the_same_bytes_alone_and_among_others():
    together = sampling.noise(SEEDS[:100], LATENT, 0.7)
    labels = sampling.labels(SEEDS[:100], 10)
    for seed in SEEDS[:100]:
        assert sampling.noise([seed], LATENT, 0.7).tobytes() == together[seed].tobytes()
        assert sampling.labels([seed], 10)[0] == labels[seed]


def test_draws_of_several_requests_are_made_at_once_in_their_order():
    first, second = sampling.Draw(SEEDS[:5], LATENT, 1.0), sampling.Draw(SEEDS[7:9], LATENT, 0.5)
    assert (len(first[2:]), first[2:].shape) == (3, (3, 4, 3))
    together = sampling.Draw.materialize([first[2:], second])
    assert np.array_equal(together[:3], sampling.noise([2, 3, 4], LATENT, 1.0))
    assert np.array_equal(together[3:], sampling.noise([7, 8], LATENT, 0.5))


def test_the_posterior_draws_the_same_bytes_alone_and_among_others():
    mean = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
    logvar = mean[::-1].copy()
    together = sampling.posterior(SEEDS[:50], mean, logvar)
    for row in range(50):
        alone = sampling.posterior([row], mean[row : row + 1], logvar[row : row + 1])
        assert alone.tobytes() == together[row].tobytes()


def test_noise_has_the_moments_of_a_standard_normal():
    z = sampling.noise(SEEDS, LATENT, 1.0).reshape(len(SEEDS), -1).astype(np.float64)
    error = 5 / math.sqrt(z.size)
    assert abs(z.mean()) < error
    assert abs((z**2).mean() - 1) < error * math.sqrt(2)
    assert abs((z**3).mean()) < error * math.sqrt(15)
    assert abs((z**4).mean() - 3) < error * math.sqrt(96)
    correlation = np.corrcoef(z.T) - np.eye(z.shape[1])
    assert np.abs(correlation).max() < 5 / math.sqrt(len(z))


def test_neighbouring_seeds_are_unrelated():
    z = sampling.noise(SEEDS, LATENT, 1.0).reshape(len(SEEDS), -1)
    assert abs((z[1:] * z[:-1]).mean()) < 5 / math.sqrt(z.size)


def test_the_posterior_has_its_mean_and_variance():
    mean, logvar = np.full((len(SEEDS), 2), 3, np.float32), np.full((len(SEEDS), 2), np.log(0.25), np.float32)
    drawn = sampling.posterior(SEEDS, mean, logvar)
    assert abs(drawn.mean() - 3) < 5 * 0.5 / math.sqrt(drawn.size)
    assert abs(drawn.std() - 0.5) < 0.01


def test_a_width_beyond_float32_is_not_finite_and_warns_nobody():
    drawn = sampling.posterior([1], np.zeros((1, 4), np.float32), np.full((1, 4), 1000, np.float32))
    assert not np.isfinite(drawn).any()


def test_truncation_scales_the_distance_from_the_mean():
    whole = sampling.noise([1, 2], LATENT, 1.0)
    assert sampling.noise([1, 2], LATENT, 0.5) == pytest.approx(whole * 0.5)


def test_labels_are_uniform_and_within_the_classes():
    counts = np.bincount(sampling.labels(SEEDS, 10), minlength=10)
    assert len(counts) == 10
    assert np.abs(counts - 2000).max() < 5 * math.sqrt(2000)


def test_the_smallest_and_largest_seed_differ_and_are_finite():
    ends = sampling.noise([0, sampling.MAX_SEED], LATENT, 1.0)
    assert np.isfinite(ends).all()
    assert (ends[0] != ends[1]).all()


def test_streams_of_a_seed_are_unrelated():
    latent = sampling.normal(SEEDS[:5000], sampling.LATENT_STREAM, 4)
    posterior = sampling.normal(SEEDS[:5000], sampling.POSTERIOR_STREAM, 4)
    assert abs((latent * posterior).mean()) < 5 / math.sqrt(latent.size)


def test_an_odd_count_is_the_beginning_of_the_next_even_one():
    assert (sampling.normal([5], 0, 3) == sampling.normal([5], 0, 4)[:, :3]).all()


@pytest.mark.parametrize(
    ("kind", "distribution"),
    [
        ("normal", stats.norm()),
        ("uniform", stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))),
        ("laplace", stats.laplace(scale=1 / math.sqrt(2))),
        ("truncated-normal", stats.truncnorm(-2, 2)),
        ("cauchy", stats.cauchy()),
    ],
)
def test_an_independent_prior_has_its_distribution_and_draws_the_same_bytes_alone(kind, distribution):
    spec = LatentSpec(shape=(3,), prior=IndependentPrior(kind=kind))
    drawn = sampling.noise(SEEDS, spec, 1.0)
    assert stats.kstest(drawn.ravel().astype(np.float64), distribution.cdf).pvalue > 1e-3
    for seed in SEEDS[:20]:
        assert sampling.noise([seed], spec, 1.0).tobytes() == drawn[seed].tobytes()
    assert sampling.noise(SEEDS[:20], spec, 0.5) == pytest.approx(drawn[:20] * 0.5)


@pytest.mark.parametrize("kind", sampling.QUANTILES)
def test_the_outermost_uniform_numbers_give_finite_latents_on_either_side(kind):
    low, high = sampling.QUANTILES[kind](np.array([0.5 / 2**53, 1 - 2**-53])).astype(np.float32)
    assert -np.inf < low < -1
    assert 1 < high < np.inf


MIXTURE = MixturePrior(
    weights=(0.25, 0.75),
    means=((-4.0, 0.0), (4.0, 1.0)),
    factors=(((1.0, 0.0), (0.5, 0.2)), ((0.1, 0.0), (0.0, 2.0))),
)


def test_a_mixture_is_drawn_with_its_weights_means_and_covariances():
    drawn = sampling.noise(SEEDS, LatentSpec(shape=(2,), prior=MIXTURE), 1.0).astype(np.float64)
    first = drawn[:, 0] < 0
    assert abs(first.mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / len(SEEDS))
    for rows, mean, factor in zip((drawn[first], drawn[~first]), MIXTURE.means, MIXTURE.factors, strict=True):
        assert rows.mean(axis=0) == pytest.approx(mean, abs=0.1)
        assert np.cov(rows.T) == pytest.approx(np.array(factor) @ np.array(factor).T, abs=0.15)


def test_truncation_draws_a_mixture_towards_the_mean_of_the_component():
    spec = LatentSpec(shape=(2,), prior=MIXTURE)
    far, near = (sampling.noise(SEEDS[:200], spec, truncation) for truncation in (1.0, 0.001))
    means = np.array(MIXTURE.means)[(near[:, 0] > 0).astype(int)]
    assert near == pytest.approx(means, abs=0.02)
    assert near - means == pytest.approx((far - means) * 0.001, abs=1e-5)


def test_a_mixture_draws_the_same_bytes_alone_and_among_others():
    size = 16
    rng = np.random.default_rng(0)
    prior = MixturePrior(
        weights=(0.5, 0.3, 0.2),
        means=tuple(map(tuple, rng.normal(size=(3, size)).tolist())),
        factors=tuple(tuple(map(tuple, np.tril(rng.normal(size=(size, size))).tolist())) for _ in range(3)),
    )
    spec = LatentSpec(shape=(size,), prior=prior)
    together = sampling.noise(SEEDS[:100], spec, 1.0)
    for seed in SEEDS[:100]:
        assert sampling.noise([seed], spec, 1.0).tobytes() == together[seed].tobytes()
