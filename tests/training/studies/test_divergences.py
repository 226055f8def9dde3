import math

import pytest
import torch

from service.comparison import divergences as numpy_divergences
from service.comparison.permutation_samples import Samples
from training.metrics import divergences
from training.runtime.randomness import generator
from training.studies.divergences import MULTIPLES, alternatives
from training.studies.maths import two_samples
from training.studies.maths.axioms import axioms, distances
from training.studies.maths.segments import segments


@pytest.fixture
def samples() -> tuple[torch.Tensor, torch.Tensor]:
    a, b = torch.randn((2, 60, 3), generator=generator(0, "two samples"), dtype=torch.float64)
    return a, 0.4 + b


def test_neighbour_estimates_equal_the_services(samples):
    a, b = samples
    expected = numpy_divergences.kl(Samples(a.numpy(), b.numpy(), 0)).value
    assert two_samples.kl_neighbours(a, b) == pytest.approx(expected, rel=1e-9)
    expected = numpy_divergences.js(Samples(a.numpy(), b.numpy(), 0)).value
    assert two_samples.js_neighbours(a, b) == pytest.approx(expected, rel=1e-9)


def test_both_permutation_tests_agree_on_mmd_and_with_the_service(samples):
    a, b = samples[0], samples[0].flip(0) * 1.1 + 0.15
    median = divergences.median_distance(a, b)
    kernel = divergences.rbf([multiple * median for multiple in MULTIPLES[-1]])
    pooled = torch.cat([a, b])
    value, p = two_samples.mmd_permutation_test(kernel(pooled, pooled), 60, 1000, generator(0, "one"))
    other, slow_p = two_samples.permutation_test(
        lambda x, y: divergences.mmd(x, y, kernel).item(), a, b, 1000, generator(0, "two")
    )
    expected = numpy_divergences.mmd(Samples(a.numpy(), b.numpy()))
    assert value == pytest.approx(other, rel=1e-9)
    assert value == pytest.approx(expected.value, rel=1e-3)
    spread = 4 * math.sqrt(2 * p * (1 - p) / 1000)
    assert 0 < p < 1
    assert slow_p == pytest.approx(p, abs=spread)
    assert expected.p_value == pytest.approx(p, abs=spread)


def test_histogram_kl_equals_a_sum_over_all_cells():
    a, b = torch.tensor([[0.0], [0.1], [1.2], [3.9]]), torch.tensor([[0.0], [1.1], [1.3], [1.4]])
    p, q = torch.tensor([2.5, 1.5, 0.5, 1.5]) / 6, torch.tensor([1.5, 3.5, 0.5, 0.5]) / 6
    expected = divergences.kl_discrete(p, q).item()
    assert two_samples.kl_histogram(a, b, 1.0) == pytest.approx(expected, rel=1e-5)


def test_apart_segments_have_infinite_kl_flat_js_and_a_wasserstein_gradient_of_one():
    found = segments(3.0)
    assert found["KL"][0] == math.inf
    assert found["JS"] == pytest.approx((math.log(2), 0.0))
    assert found["W1"] == pytest.approx((3.0, 1.0))
    assert abs(segments(12.0)["MMD², bandwidth 1"][1]) < 1e-9 < segments(12.0)["MMD², bandwidth median"][1]
    assert segments(0.5)["JS"] == pytest.approx((0.5 * math.log(2), math.log(2)), rel=1e-2)


def test_axioms_refute_kl_squares_and_the_linear_kernel_alone():
    refuted = set()
    for name, distance in distances().items():
        asymmetry, excess, least = axioms(distance)
        if max(asymmetry, excess) > 1e-9 or least < 1e-9:
            refuted.add(name)
    assert refuted == {"KL", "JS", "MMD²", "MMD, linear kernel"}


def test_alternatives_differ_as_their_names_say():
    pairs = [alternatives(trial) for trial in range(50)]
    mean, spread = (torch.cat([pair[name][1] for pair in pairs]) for name in ("mean, 16-d", "spread, 16-d"))
    assert mean.mean().item() == pytest.approx(0.25, abs=0.02)
    assert spread.mean().item() == pytest.approx(0.0, abs=0.02)
    assert spread.std().item() == pytest.approx(1.25, abs=0.02)
    even, stripes = (torch.cat([pair["fine stripes, 1-d"][side] for pair in pairs]) for side in (0, 1))
    assert stripes.mean().item() == pytest.approx(even.mean().item(), abs=0.02)
    assert stripes.std().item() == pytest.approx(even.std().item(), abs=0.02)
    assert stripes.mul(10).sub(0.25).frac().max() <= 0.5 + 1e-9 < even.mul(10).sub(0.25).frac().max()
