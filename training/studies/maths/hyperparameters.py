"""What happens when lambda or eta is chosen by descending the training cost, in linear regression.

    f(w, lambda) = mean (X w - y)^2 + lambda/2 sum w^2,   df/dlambda = sum w^2 / 2 >= 0

so descent takes lambda to 0 wherever it starts. The training cost after k steps is a function of eta as well,
and its least value is at the eta that fits the training data best, not new data.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.runtime.randomness import generator
from training.studies.maths.regression import closed_form, curvature


@dataclass(frozen=True)
class Split:
    """A regression problem in three parts, each (X, y); columns have mean 0 and variance 1 in training."""

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]

    @property
    def steepest(self) -> float:
        """Return the largest eigenvalue of the Hessian of the mean squared error in training."""
        x = self.train[0]
        return curvature(x)[1] / len(x)

    def errors(self, w: Tensor) -> tuple[float, float, float]:
        """Return the mean squared error in training, validation and test."""
        first, second, third = (
            float(mean_error(part, w)) for part in (self.train, self.validation, self.test)
        )
        return first, second, third

    def ridge(self, penalty: float) -> Tensor:
        """Return the w of least cost at this lambda."""
        x, y = self.train
        return closed_form(x, y, penalty * len(x))


def diabetes_with_products() -> Split:
    """Return scikit-learn's diabetes data, all products of two columns added, 148 patients in training."""
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import PolynomialFeatures

    bunch = load_diabetes()
    x = torch.from_numpy(
        PolynomialFeatures(2, include_bias=False).fit_transform(bunch.data / bunch.data.std(0))
    )
    y = torch.from_numpy(bunch.target)
    order = torch.randperm(len(x), generator=generator(0, "diabetes split"))
    train, validation, test = order[:148], order[148:295], order[295:]
    mean, deviation = x[train].mean(0), x[train].std(0, correction=0)
    offset, unit = y[train].mean(), y[train].std(correction=0)
    parts = [((x[rows] - mean) / deviation, (y[rows] - offset) / unit) for rows in (train, validation, test)]
    return Split(parts[0], parts[1], parts[2])


def mean_error(part: tuple[Tensor, Tensor], w: Tensor) -> Tensor:
    """Return the mean squared error, a scalar."""
    x, y = part
    return (x @ w - y).square().mean()


def mean_gradient(part: tuple[Tensor, Tensor], w: Tensor) -> Tensor:
    """Return the gradient of the mean squared error, (d,)."""
    x, y = part
    return 2 * x.T @ (x @ w - y) / len(y)


def descend_penalty(split: Split, penalty: float, rate: float, steps: int) -> list[tuple[float, Tensor]]:
    """Return (lambda, w) at every step of descending f in both together; lambda stays at least 0."""
    w = split.ridge(penalty)
    path = [(penalty, w)]
    for _ in range(steps):
        gradient = mean_gradient(split.train, w) + penalty * w
        slope = float(w.square().sum() / 2)
        w, penalty = w - gradient / (split.steepest + penalty), max(0.0, penalty - rate * slope)
        path.append((penalty, w))
    return path


def after(split: Split, eta: Tensor, steps: int) -> Tensor:
    """Return the w after `steps` of descent from 0 at the rate `eta`, differentiable in it."""
    w = torch.zeros(split.train[0].shape[1], dtype=torch.float64)
    for _ in range(steps):
        w = w - eta * mean_gradient(split.train, w)
    return w


def descend_rate(split: Split, eta: float, steps: int, rounds: int) -> list[float]:
    """Return the etas of descending the logarithm of the training error after `steps` in log eta."""
    log_eta = torch.tensor(eta, dtype=torch.float64).log().requires_grad_()
    path = [eta]
    for _ in range(rounds):
        error = mean_error(split.train, after(split, log_eta.exp(), steps)).log()
        (slope,) = torch.autograd.grad(error, log_eta)
        log_eta = (log_eta - slope.clamp(-0.3, 0.3)).detach().requires_grad_()
        path.append(float(log_eta.detach().exp()))
    return path


def steepest_descent(split: Split, steps: int) -> Tensor:
    """Return the w after `steps`, each at the eta of least training error along the gradient."""
    x, _ = split.train
    w = torch.zeros(x.shape[1], dtype=torch.float64)
    for _ in range(steps):
        gradient = mean_gradient(split.train, w)
        w = w - gradient.square().sum() / (2 * (x @ gradient).square().mean()) * gradient
    return w


def hypergradient_descent(split: Split, eta: float, rate: float, steps: int) -> tuple[Tensor, float]:
    """Return w and eta after `steps` of eta += rate g_t . g_(t-1) (Baydin et al. 2018, algorithm 4)."""
    w = torch.zeros(split.train[0].shape[1], dtype=torch.float64)
    before = torch.zeros_like(w)
    for _ in range(steps):
        gradient = mean_gradient(split.train, w)
        eta = eta + rate * float(gradient @ before)
        w, before = w - eta * gradient, gradient
    return w, eta
