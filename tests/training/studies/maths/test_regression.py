import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso, Ridge
from torch import Tensor

from training.studies.maths.regression import (
    closed_form,
    cost,
    curvature,
    descend,
    difference_gradient,
    gradient,
)


@pytest.fixture
def problem() -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    x = torch.randn((60, 5), generator=random, dtype=torch.float64)
    w = torch.tensor([2.0, -1.0, 0.0, 0.0, 0.5], dtype=torch.float64)
    return x, x @ w + 0.3 * torch.randn(60, generator=random, dtype=torch.float64), w + 1


def close(found: Tensor, truth: Tensor, tolerance: float) -> bool:
    return bool((found - truth).norm() <= tolerance * truth.norm())


def test_the_gradient_agrees_with_automatic_differentiation(problem):
    x, y, w = problem
    w.requires_grad_()
    (automatic,) = torch.autograd.grad(cost(x, y, w), w)
    assert close(gradient(x, y, w.detach()), automatic, 1e-12)


def test_the_gradient_agrees_with_central_differences_of_any_step(problem):
    for step in (1e-3, 1.0, 10.0):
        assert close(difference_gradient(*problem, step), gradient(*problem), 1e-8)
    assert not close(difference_gradient(*problem, 1.0, central=False), gradient(*problem), 1e-2)


def test_the_gradient_agrees_with_the_closed_form(problem):
    x, y, w = problem
    best = closed_form(x, y)
    assert close(gradient(x, y, w), 2 * x.T @ x @ (w - best), 1e-8)
    assert gradient(x, y, best).norm() < 1e-8 * (2 * x.T @ y).norm()
    assert np.allclose(best, np.linalg.lstsq(x.numpy(), y.numpy(), rcond=None)[0], rtol=1e-10)


def test_descent_reaches_the_closed_form_and_diverges_above_two_over_the_largest_curvature(problem):
    x, y, _ = problem
    high = curvature(x)[1]
    best = closed_form(x, y)
    assert close(descend(x, y, 1.9 / high, 500)[-1], best, 1e-8)
    assert (descend(x, y, 2.1 / high, 500)[-1] - best).norm() > 1e6 * best.norm()


@pytest.mark.parametrize("alpha", [0.1, 10.0])
def test_l2_agrees_with_ridge(problem, alpha: float):
    x, y, _ = problem
    expected = Ridge(alpha=alpha, fit_intercept=False).fit(x, y).coef_
    assert np.allclose(closed_form(x, y, l2=2 * alpha), expected, atol=1e-10)
    rate = 1 / curvature(x, 2 * alpha)[1]
    assert np.allclose(descend(x, y, rate, 500, l2=2 * alpha)[-1], expected, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.01, 0.5])
def test_l1_agrees_with_lasso_and_its_zeros_are_exact(problem, alpha: float):
    x, y, _ = problem
    expected = Lasso(alpha=alpha, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, y).coef_
    found = descend(x, y, 1 / curvature(x)[1], 2000, l1=2 * len(x) * alpha)[-1].numpy()
    assert np.allclose(found, expected, atol=1e-8)
    assert ((found == 0) == (expected == 0)).all()
