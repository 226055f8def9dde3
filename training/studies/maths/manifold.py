"""The manifold y = x²: points on a parabola, noise around them, and the best denoisers there are.

A clean point is c(t) = (t, t²) with t uniform on [-1, 1]; a noisy one is c(t) plus independent noise on
both coordinates. The posterior of t given the noisy point is known, so its mean (the best denoiser under
squared error) and its coordinatewise median (the best under absolute error) follow by quadrature along the
curve. Points and quadrature are float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.corruption import NoiseKind, corrupt
from training.runtime.randomness import generator

Loss = Literal["mse", "l1", "huber"]
NODES = 1001
"""Midpoints of the quadrature on [-1, 1]; they lie 0.002 apart."""
CHUNK = 2000
"""Noisy points whose posteriors are held at once."""


def curve(t: Tensor) -> Tensor:
    """Return the points (t, t²), (..., 2)."""
    return torch.stack([t, t.square()], -1)


def clean_points(count: int, random: torch.Generator) -> Tensor:
    """Draw points of the curve, t uniform on [-1, 1]; (count, 2)."""
    return curve(2 * torch.rand(count, generator=random, dtype=torch.float64) - 1)


def noisy_points(clean: Tensor, kind: NoiseKind, level: float, random: torch.Generator) -> Tensor:
    """Add noise to both coordinates of each point."""
    return corrupt(clean, kind, torch.full((len(clean),), level, dtype=clean.dtype), random)


def nodes() -> Tensor:
    """Return the quadrature's values of t, (NODES,)."""
    return (2 * torch.arange(NODES, dtype=torch.float64) + 1) / NODES - 1


def log_noise(difference: Tensor, kind: NoiseKind, level: float) -> Tensor:
    """Return the log density of one coordinate's noise, up to a constant.

    Raises:
        ValueError: noise of this kind is not added.
    """
    scaled = difference / level
    if kind == "gaussian":
        return -scaled.square() / 2
    if kind == "laplace":
        return -math.sqrt(2) * scaled.abs()
    if kind == "cauchy":
        return -scaled.square().log1p()
    if kind == "uniform":
        # Steep walls in place of minus infinity: where no node lies inside, the nearest one counts.
        return -1e6 * (scaled.abs() - math.sqrt(3)).clamp(min=0)
    raise ValueError(f"{kind} noise is not added to the point")


def log_joint(noisy: Tensor, kind: NoiseKind, level: float) -> Tensor:
    """Return log p(noisy | t) at every node, up to a constant; (N, NODES)."""
    difference = noisy[:, None] - curve(nodes())
    return log_noise(difference, kind, level).sum(-1)


def posterior_mean(noisy: Tensor, kind: NoiseKind, level: float) -> Tensor:
    """Return E[c | noisy], the denoiser of least squared error; (N, 2)."""
    points = curve(nodes())
    return torch.cat([log_joint(part, kind, level).softmax(1) @ points for part in noisy.split(CHUNK)])


def posterior_median(noisy: Tensor, kind: NoiseKind, level: float) -> Tensor:
    """Return the median of each coordinate given the noisy point, the denoiser of least absolute error."""
    medians = []
    for part in noisy.split(CHUNK):
        weights = log_joint(part, kind, level).softmax(1)
        medians.append(torch.stack([weighted_median(axis, weights) for axis in curve(nodes()).T], 1))
    return torch.cat(medians)


def weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """Return the median of `values` (K,) under each row of `weights` (N, K)."""
    ordered, order = values.sort()
    below = weights[:, order].cumsum(1) < 0.5
    return ordered[below.sum(1).clamp(max=len(values) - 1)]


def score(noisy: Tensor, kind: NoiseKind, level: float) -> Tensor:
    """Return grad log p(noisy), the gradient of the logarithm of the quadrature itself; (N, 2)."""
    gradients = []
    for part in noisy.split(CHUNK):
        leaf = part.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(log_joint(leaf, kind, level).logsumexp(1).sum(), leaf)
        gradients.append(gradient)
    return torch.cat(gradients)


def distance_to_curve(points: Tensor) -> Tensor:
    """Return each point's distance to the nearest point of the curve, (N,)."""
    t = nodes()
    nearest = torch.cat([t[torch.cdist(part, curve(t)).argmin(1)] for part in points.split(CHUNK)])
    x, y = points.T
    spacing = 2 / NODES
    # One Newton step on the derivative of the squared distance, kept between the neighbouring nodes.
    slope = (nearest - x) + 2 * nearest * (nearest.square() - y)
    step = slope / (1 + 6 * nearest.square() - 2 * y).clamp(min=1e-3)
    foot = (nearest - step.clamp(-spacing, spacing)).clamp(-1, 1)
    return (points - curve(foot)).norm(dim=1)


@dataclass(frozen=True)
class Fit:
    """How one denoiser r: R² -> R² is trained."""

    kind: NoiseKind
    level: float
    loss: Loss
    bounded: bool = True
    """Tanh units: the output is smooth and bounded. Else ReLU: it has creases and grows with the input."""
    noisy_targets: bool = False
    """Whether r aims at a second noisy copy of the point (Noise2Noise, Lehtinen et al. 2018)."""
    updates: int = 3000
    batch: int = 512
    learning_rate: float = 5e-3
    seed: int = 0


def train(fit: Fit) -> nn.Module:
    """Return a network trained on fresh points, float32."""
    denoiser = network(fit.bounded, generator(fit.seed, "weights").initial_seed())
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=fit.learning_rate)
    random = generator(fit.seed, "points to train on")
    for update in range(fit.updates):
        for group in optimizer.param_groups:
            group["lr"] = fit.learning_rate * (1 + math.cos(math.pi * update / fit.updates)) / 2
        clean = clean_points(fit.batch, random)
        noisy = noisy_points(clean, fit.kind, fit.level, random)
        target = noisy_points(clean, fit.kind, fit.level, random) if fit.noisy_targets else clean
        loss = loss_of(denoiser(noisy.float()) - target.float(), fit.loss, fit.level)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return denoiser


def network(bounded: bool, seed: int, width: int = 64) -> nn.Sequential:
    """Return an untrained network R² -> R²: two hidden layers of tanh, or three of ReLU."""
    hidden: list[type[nn.Module]] = [nn.Tanh] * 2 if bounded else [nn.ReLU] * 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Linear(2, width), hidden[0]()]
        for unit in hidden[1:]:
            layers += [nn.Linear(width, width), unit()]
        return nn.Sequential(*layers, nn.Linear(width, 2))


def loss_of(difference: Tensor, loss: Loss, level: float) -> Tensor:
    """Return the loss averaged over points and coordinates; Huber's turns straight at `level`."""
    if loss == "mse":
        return difference.square().mean()
    if loss == "l1":
        return difference.abs().mean()
    return F.huber_loss(difference, torch.zeros_like(difference), delta=level)


def denoised(denoiser: nn.Module, noisy: Tensor) -> Tensor:
    """Return r(noisy), float64."""
    with torch.no_grad():
        result: Tensor = denoiser(noisy.float())
    return result.double()
