import math

import pytest
import torch

from training.runtime.randomness import generator
from training.studies.maths import manifold
from training.studies.maths.manifold import (
    Fit,
    clean_points,
    curve,
    denoised,
    distance_to_curve,
    noisy_points,
    posterior_mean,
    posterior_median,
    score,
    train,
    weighted_median,
)

KINDS = ["gaussian", "uniform", "laplace", "cauchy"]
LEVEL = 0.2


def pairs(kind, count=2000):
    clean = clean_points(count, generator(1, "clean"))
    return clean, noisy_points(clean, kind, LEVEL, generator(1, kind))


def test_clean_points_lie_on_the_curve():
    x, y = clean_points(100, generator(0, "points")).T
    assert torch.equal(y, x.square())
    assert x.abs().max() <= 1


def test_distance_to_the_curve_agrees_with_a_fine_grid():
    points = 4 * torch.rand(300, 2, generator=generator(0, "points"), dtype=torch.float64) - 2
    grid = curve(torch.linspace(-1, 1, 20_001, dtype=torch.float64))
    expected = torch.cdist(points, grid).min(1).values
    torch.testing.assert_close(distance_to_curve(points), expected, rtol=0, atol=1e-4)


def test_points_of_the_curve_are_on_it():
    assert distance_to_curve(clean_points(500, generator(0, "points"))).max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_posterior_mean_agrees_with_importance_sampling(kind):
    noisy = torch.tensor([[0.3, 0.25], [-0.8, 0.7], [0.1, 0.3]], dtype=torch.float64)
    drawn = clean_points(200_000, generator(2, "monte carlo"))
    for point, mean in zip(noisy, posterior_mean(noisy, kind, LEVEL), strict=True):
        weights = manifold.log_noise(point - drawn, kind, LEVEL).sum(1).softmax(0)
        torch.testing.assert_close(mean, weights @ drawn, rtol=0, atol=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_drawn_and_noise_in_the_posterior_are_the_same(kind):
    # Were the densities another law's, the residual of the posterior mean would not be uncorrelated with it.
    clean, noisy = pairs(kind, 5000)
    mean = posterior_mean(noisy, kind, LEVEL)
    products = (clean - mean) * mean
    assert (products.mean(0).abs() < 4 * products.std(0) / math.sqrt(len(clean))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_each_bayes_denoiser_wins_under_its_own_loss(kind):
    clean, noisy = pairs(kind)
    mean, median = posterior_mean(noisy, kind, LEVEL) - clean, posterior_median(noisy, kind, LEVEL) - clean
    assert mean.square().mean() < median.square().mean()
    assert median.abs().mean() < mean.abs().mean()


def test_uniform_noise_between_two_nodes_still_has_a_posterior():
    corner = curve(torch.tensor([1e-5], dtype=torch.float64)) + math.sqrt(3) * LEVEL
    assert posterior_mean(corner, "uniform", LEVEL).isfinite().all()


def test_noise_that_replaces_numbers_has_no_density():
    with pytest.raises(ValueError, match="mask noise is not added"):
        posterior_mean(torch.zeros(1, 2, dtype=torch.float64), "mask", LEVEL)


def test_weighted_median_splits_the_weight_in_half():
    weights = torch.tensor([[0.2, 0.2, 0.6], [0.1, 0.6, 0.3]])
    assert weighted_median(torch.tensor([5.0, -1.0, 2.0]), weights).tolist() == [2.0, -1.0]


def test_tweedies_formula_holds_under_gaussian_noise():
    _, noisy = pairs("gaussian", 500)
    step = (posterior_mean(noisy, "gaussian", LEVEL) - noisy) / LEVEL**2
    torch.testing.assert_close(step, score(noisy, "gaussian", LEVEL), rtol=1e-9, atol=1e-9)


def test_tweedies_formula_fails_under_laplace_noise():
    _, noisy = pairs("laplace", 500)
    step = (posterior_mean(noisy, "laplace", LEVEL) - noisy) / LEVEL**2
    gradient = score(noisy, "laplace", LEVEL)
    assert (step - gradient).norm() > 0.2 * gradient.norm()


def test_score_is_that_of_a_mixture_in_closed_form(monkeypatch):
    # Two points on the curve, (-1, 1) and (1, 1): p is a mixture of two Gaussians and its score
    # ((±1 weighted by a sigmoid, 1) - x) / sigma².
    monkeypatch.setattr(manifold, "nodes", lambda: torch.tensor([-1.0, 1.0], dtype=torch.float64))
    noisy = torch.randn(50, 2, generator=generator(0, "points"), dtype=torch.float64)
    sigma = 0.7
    centre = torch.stack([torch.tanh(noisy[:, 0] / sigma**2), torch.ones(50, dtype=torch.float64)], 1)
    torch.testing.assert_close(score(noisy, "gaussian", sigma), (centre - noisy) / sigma**2)
    torch.testing.assert_close(posterior_mean(noisy, "gaussian", sigma), centre)


def test_posterior_mean_at_the_vertex_is_lifted_by_sigma_squared():
    origin = torch.zeros(1, 2, dtype=torch.float64)
    x, y = posterior_mean(origin, "gaussian", 0.03)[0].tolist()
    assert x == pytest.approx(0, abs=1e-12)
    assert y == pytest.approx(0.03**2, rel=0.01)


def test_short_training_already_halves_the_squared_error_gap_to_bayes():
    clean, noisy = pairs("gaussian")
    learned = denoised(train(Fit("gaussian", LEVEL, "mse", updates=200)), noisy)
    errors = [
        float((points - clean).square().mean())
        for points in (noisy, learned, posterior_mean(noisy, "gaussian", LEVEL))
    ]
    assert errors[2] < errors[1] < (errors[0] + errors[2]) / 2


def test_training_is_deterministic_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    first, second = (train(Fit("cauchy", LEVEL, "l1", updates=5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_bounded_network_answers_far_points_within_bounds():
    far = torch.tensor([[1e6, 0.0], [1e9, 0.0]], dtype=torch.float64)
    bounded, unbounded = (
        denoised(train(Fit("cauchy", LEVEL, "l1", updates=5, bounded=value)), far) for value in (True, False)
    )
    assert torch.equal(bounded[0], bounded[1])
    assert unbounded[1].norm() > 100 * unbounded[0].norm()
