import pytest
import torch

from training.studies.maths.hyperparameters import (
    Split,
    after,
    descend_penalty,
    descend_rate,
    diabetes_with_products,
    hypergradient_descent,
    mean_error,
    mean_gradient,
    steepest_descent,
)


@pytest.fixture(scope="module")
def split() -> Split:
    return diabetes_with_products()


def test_ridge_is_where_the_gradient_of_the_cost_vanishes(split: Split):
    w = split.ridge(0.5)
    assert (mean_gradient(split.train, w) + 0.5 * w).norm() < 1e-10


def test_descending_the_cost_takes_lambda_to_zero_and_training_error_down(split: Split):
    path = descend_penalty(split, 1.0, 0.02, 500)
    penalties = [penalty for penalty, _ in path]
    assert penalties == sorted(penalties, reverse=True)
    assert penalties[-1] == 0
    first, last = (split.errors(path[index][1]) for index in (0, -1))
    assert last[0] < first[0]
    assert last[1] > first[1]


def test_descending_the_training_error_raises_eta_to_the_edge_of_stability(split: Split):
    unit = 2 / split.steepest
    path = descend_rate(split, 0.01 * unit, 50, 60)
    assert 0.5 * unit < path[-1] < 1.2 * unit
    before, beyond = (split.errors(after(split, torch.tensor(eta), 50)) for eta in (path[0], path[-1]))
    assert beyond[0] < before[0]


def test_no_single_eta_does_better_in_one_step_than_steepest_descent(split: Split):
    best = mean_error(split.train, steepest_descent(split, 1))
    for share in (0.1, 0.5, 0.9, 1.1):
        assert best <= mean_error(split.train, after(split, torch.tensor(share / split.steepest), 1))


def test_hypergradient_descent_without_a_rate_is_gradient_descent(split: Split):
    w, eta = hypergradient_descent(split, 0.01, 0.0, 20)
    assert eta == 0.01
    assert torch.allclose(w, after(split, torch.tensor(0.01, dtype=torch.float64), 20))
    assert hypergradient_descent(split, 0.01, 1e-3, 20)[1] > 0.01
