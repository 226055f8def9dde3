import math
from collections.abc import Callable

import numpy as np
import ot
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.spatial.distance import jensenshannon
from torch import Tensor
from torch.distributions import Normal
from torchmetrics.image.kid import poly_mmd

from training.metrics import divergences
from training.runtime.randomness import generator

SCALES = (0.1, 1.0, 10.0)


def normal(purpose: str, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(0, purpose), dtype=torch.float64)


@pytest.fixture
def samples() -> tuple[Tensor, Tensor]:
    return normal("a", 9, 3), 0.5 + 1.5 * normal("b", 7, 3)


def log_density(mean: float) -> Callable[[Tensor], Tensor]:
    return lambda rows: Normal(mean, 1.0).log_prob(rows).sum(1)


def test_discrete_kl_and_js_equal_scipys():
    p, q = torch.tensor([0.5, 0.3, 0.2, 0.0]), torch.tensor([0.2, 0.2, 0.3, 0.3])
    assert divergences.kl_discrete(p, q).item() == pytest.approx(stats.entropy(p, q), rel=1e-5)
    assert divergences.js_discrete(p, q).item() == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-5)


def test_kl_is_infinite_where_the_second_misses_something_and_js_is_log_2_where_nothing_is_shared():
    p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert divergences.kl_discrete(p, q).item() == math.inf
    assert divergences.js_discrete(p, q).item() == pytest.approx(math.log(2))


def test_zero_probabilities_have_a_finite_gradient():
    p = torch.tensor([0.5, 0.5, 0.0], requires_grad=True)
    divergences.js_discrete(p, torch.tensor([0.5, 0.0, 0.5])).backward()
    assert torch.isfinite(p.grad).all()


def test_monte_carlo_kl_and_js_near_the_closed_form_and_the_quadrature():
    x, y = normal("x", 40_000, 1), 1 + normal("y", 40_000, 1)

    def integrand(at: float) -> float:
        p, q = stats.norm.pdf(at), stats.norm.pdf(at, 1)
        return (p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2

    assert divergences.kl_densities(x, log_density(0), log_density(1)).item() == pytest.approx(0.5, abs=0.02)
    found = divergences.js_densities(x, y, log_density(0), log_density(1)).item()
    assert found == pytest.approx(quad(integrand, -10, 11)[0], abs=0.01)


@pytest.mark.parametrize("sizes", [(40, 40), (12, 35), (36, 48)])
def test_wasserstein_on_the_line_equals_scipys_and_pots(sizes):
    a, b = normal("a", sizes[0]), 0.5 + 2 * normal("b", sizes[1])
    expected = stats.wasserstein_distance(a, b)
    assert divergences.wasserstein_1d(a, b).item() == pytest.approx(expected, rel=1e-10)
    expected = ot.wasserstein_1d(a.numpy(), b.numpy(), p=2).item() ** 0.5
    assert divergences.wasserstein_1d(a, b, order=2).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_exact_wasserstein_equals_pots_transport_cost(samples, order):
    costs = torch.cdist(*samples) ** order
    expected = ot.emd2(ot.unif(9), ot.unif(7), costs.numpy()) ** (1 / order)
    assert divergences.wasserstein(*samples, order).item() == pytest.approx(expected, rel=1e-10)


def test_exact_wasserstein_on_the_line_is_quantile_against_quantile():
    a, b = normal("a", 20), 1 + 0.5 * normal("b", 30)
    expected = divergences.wasserstein_1d(a, b, 2).item()
    assert divergences.wasserstein(a[:, None], b[:, None], 2).item() == pytest.approx(expected, rel=1e-10)


def test_wasserstein_of_a_shift_is_its_length(samples):
    a, shift = samples[0], torch.tensor([3.0, -4.0, 12.0], dtype=torch.float64)
    assert divergences.wasserstein(a, a + shift).item() == pytest.approx(13.0)
    assert divergences.wasserstein(a, a + shift, order=2).item() == pytest.approx(13.0)


def test_wasserstein_2_of_gaussian_samples_nears_the_closed_form():
    found = divergences.wasserstein_1d(normal("a", 200_000), 1 + 3 * normal("b", 200_000), order=2)
    assert found.item() == pytest.approx(math.hypot(1, 3 - 1), rel=0.01)


@pytest.mark.parametrize("order", [1, 2])
def test_sliced_wasserstein_equals_pots_along_the_same_directions(samples, order):
    drawn = torch.randn(3, 50, generator=generator(0, "directions"), dtype=torch.float64)
    directions = (drawn / drawn.norm(dim=0)).numpy()
    a, b = (sample.numpy() for sample in samples)
    expected = ot.sliced_wasserstein_distance(a, b, projections=directions, p=order)
    found = divergences.sliced_wasserstein(*samples, 50, generator(0, "directions"), order)
    assert found.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("kernel", "height"),
    [
        (divergences.rbf(SCALES), lambda square: sum(math.exp(-square / (2 * s * s)) for s in SCALES)),
        (
            divergences.inverse_multiquadric(SCALES),
            lambda square: sum(6 * s / (6 * s + square) for s in SCALES),
        ),
    ],
    ids=["rbf", "inverse multiquadric"],
)
def test_mmd_equals_a_double_loop(samples, kernel, height):
    a, b = samples

    def mean(x: Tensor, y: Tensor, skip: int) -> float:
        heights = [
            height(((u - v) ** 2).sum().item())
            for i, u in enumerate(x)
            for j, v in enumerate(y)
            if i != j + skip
        ]
        return sum(heights) / len(heights)

    same, none = 0, 10**6
    unbiased = mean(a, a, same) + mean(b, b, same) - 2 * mean(a, b, none)
    biased = mean(a, a, none) + mean(b, b, none) - 2 * mean(a, b, none)
    assert divergences.mmd(a, b, kernel).item() == pytest.approx(unbiased, rel=1e-10)
    assert divergences.biased_mmd(a, b, kernel).item() == pytest.approx(biased, rel=1e-10)


def test_polynomial_mmd_equals_torchmetrics_kernel_inception_distance(samples):
    a, b = samples[0][:7], samples[1]
    found = divergences.mmd(a, b, lambda x, y: (x @ y.T / 3 + 1) ** 3)
    assert found.item() == pytest.approx(poly_mmd(a, b).item(), rel=1e-10)


def test_unbiased_mmd_of_gaussian_samples_is_the_closed_form_on_average():
    # E exp(-(x - y)² / 2 s²) for x - y ~ N(delta, v) is s / sqrt(s² + v) exp(-delta² / 2 (s² + v)).
    delta, sigma = 0.8, 1.3
    spread = sigma**2 + 2
    expected = 2 * sigma / math.sqrt(spread) * (1 - math.exp(-(delta**2) / (2 * spread)))
    estimates = [
        divergences.mmd(
            normal(f"a{i}", 50, 1), delta + normal(f"b{i}", 40, 1), divergences.rbf([sigma])
        ).item()
        for i in range(400)
    ]
    error = np.std(estimates) / math.sqrt(len(estimates))
    assert np.mean(estimates) == pytest.approx(expected, abs=4 * error)
    assert 4 * error < 0.15 * expected


def test_linear_mmd_is_the_distance_of_the_means(samples):
    found = divergences.biased_mmd(*samples, lambda x, y: x @ y.T)
    expected = (samples[0].mean(0) - samples[1].mean(0)).square().sum()
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)


def test_single_precision_holds_far_from_the_origin(samples):
    kernel = divergences.inverse_multiquadric(SCALES)
    near = divergences.mmd(*samples, kernel).item()
    far = divergences.mmd(*((sample + 1000).float() for sample in samples), kernel).item()
    assert far == pytest.approx(near, abs=1e-3)


def test_median_distance_is_over_different_rows_of_both_samples():
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[5.0]])
    assert divergences.median_distance(a, b) == 4.0


SAMPLED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "wasserstein 1": divergences.wasserstein,
    "wasserstein 2": lambda a, b: divergences.wasserstein(a, b, 2),
    "wasserstein 1-d": lambda a, b: divergences.wasserstein_1d(a[:, 0], b[:, 0]),
    "sliced": lambda a, b: divergences.sliced_wasserstein(a, b, 5, generator(0, "directions")),
    "mmd rbf": lambda a, b: divergences.mmd(a, b, divergences.rbf(SCALES)),
    "mmd imq": lambda a, b: divergences.mmd(a, b, divergences.inverse_multiquadric(SCALES)),
    "biased mmd": lambda a, b: divergences.biased_mmd(a, b, divergences.rbf(SCALES)),
    "js of densities": lambda a, b: divergences.js_densities(a, b, log_density(0), log_density(1)),
    "discrete js": lambda a, b: divergences.js_discrete(a[:7].flatten().softmax(0), b.flatten().softmax(0)),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_gradient_equals_finite_differences(samples, name):
    a, b = (sample.clone().requires_grad_() for sample in samples)
    assert torch.autograd.gradcheck(SAMPLED[name], (a, b))


@pytest.mark.parametrize("name", [name for name in SAMPLED if name.startswith(("wasserstein", "sliced"))])
def test_gradient_of_equal_samples_is_zero_not_nan(samples, name):
    a = samples[0].clone().requires_grad_()
    found = SAMPLED[name](a, samples[0])
    found.backward()
    assert found.item() == 0
    assert not a.grad.any()
