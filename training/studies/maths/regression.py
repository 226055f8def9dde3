"""Linear regression in float64, with the penalties of penalties.py.

    cost(w) = |X w - y|^2 + l1 sum |w| + l2/2 sum w^2

The squared errors are summed. Their mean has 1/n of this gradient: with n times the rate and penalties of
1/n the size it walks the same path. X is (n, d), y (n,), w (d,).
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.recipes.penalties import soft_threshold


def cost(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Return the sum of squared errors |X w - y|^2, a scalar."""
    return (x @ w - y).square().sum()


def gradient(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Return the gradient of the sum of squared errors, 2 X'X w - 2 X'y, (d,)."""
    return 2 * x.T @ (x @ w) - 2 * x.T @ y


def difference_gradient(x: Tensor, y: Tensor, w: Tensor, step: float, central: bool = True) -> Tensor:
    """Return the gradient by finite differences of the cost along each axis, (d,)."""
    shifts = step * torch.eye(len(w), dtype=w.dtype)
    ahead = torch.stack([cost(x, y, w + shift) for shift in shifts])
    if not central:
        return (ahead - cost(x, y, w)) / step
    return (ahead - torch.stack([cost(x, y, w - shift) for shift in shifts])) / (2 * step)


def closed_form(x: Tensor, y: Tensor, l2: float = 0.0) -> Tensor:
    """Return the w of least cost without L1: of (2 X'X + l2 I) w = 2 X'y, solved by QR without squaring X."""
    ridge = (l2 / 2) ** 0.5 * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.lstsq(torch.cat([x, ridge]), torch.cat([y, y.new_zeros(x.shape[1])])).solution


def curvature(x: Tensor, l2: float = 0.0) -> tuple[float, float]:
    """Return the least and the largest eigenvalue of the Hessian 2 X'X + l2 I."""
    values = torch.linalg.eigvalsh(2 * x.T @ x) + l2
    return float(values[0]), float(values[-1])


def descend(x: Tensor, y: Tensor, rate: float, steps: int, l1: float = 0.0, l2: float = 0.0) -> Tensor:
    """Return the path of gradient descent from w = 0, (steps + 1, d); with l1 each step ends proximally."""
    path = [x.new_zeros(x.shape[1])]
    for _ in range(steps):
        w = path[-1]
        path.append(soft_threshold(w - rate * (gradient(x, y, w) + l2 * w), rate * l1))
    return torch.stack(path)
