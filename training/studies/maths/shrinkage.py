"""What L2 and decoupled decay do to weights, measured with the optimisers and the penalty of the recipes.

With n training examples, mini-batches of m and the rate eta, the penalty lambda/(2n) sum w^2 multiplies every
weight by 1 - eta lambda/n per update and so by (1 - eta lambda/n)^(n/m) per epoch; the limit for large n is
exp(-eta lambda/m).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from training.recipes.penalties import add_l2_gradient
from training.runtime.randomness import generator

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]


@dataclass(frozen=True)
class Epoch:
    """One epoch of decay, in the symbols of the module's docstring."""

    n: int
    m: int
    eta: float
    penalty: float

    @property
    def updates(self) -> int:
        return self.n // self.m

    @property
    def formula(self) -> float:
        """Return (1 - eta lambda/n)^(n/m)."""
        return float((1 - self.eta * self.penalty / self.n) ** self.updates)

    @property
    def limit(self) -> float:
        """Return exp(-eta lambda/m)."""
        return float(torch.tensor(-self.eta * self.penalty / self.m, dtype=torch.float64).exp())

    def kept(self, momentum: float = 0.0, epochs: int = 1) -> float:
        """Return by what a weight is multiplied per epoch, measured over `epochs` without a data gradient."""
        network = _Weights(torch.ones((1, 1), dtype=torch.float64))
        optimizer = torch.optim.SGD(network.parameters(), lr=self.eta, momentum=momentum)
        for _ in range(self.updates * epochs):
            _update(network, optimizer, torch.zeros_like(network.weight), self.penalty / self.n)
        final = float(network.weight.detach())
        return float(abs(final) ** (1 / epochs)) if epochs > 1 else final

    def kept_with_data(self, x: Tensor, y: Tensor, start: Tensor, epochs: int) -> float:
        """Return |w| after `epochs` over |start|, with the gradient of the mean of (x w - y)^2 / 2."""
        network = _Weights(start[:, None].clone())
        optimizer = torch.optim.SGD(network.parameters(), lr=self.eta)
        for epoch in range(epochs):
            order = torch.randperm(len(x), generator=generator(0, "shrinkage order", epoch))
            for batch in order[: self.updates * self.m].split(self.m):
                residual = x[batch] @ network.weight.detach() - y[batch, None]
                gradient = x[batch].T @ residual / self.m
                _update(network, optimizer, gradient, self.penalty / self.n)
        return float(network.weight.detach().norm() / start.norm())


def kept_under_noise(make: MakeOptimizer, scale: float, l2: float, updates: int, count: int = 2000) -> float:
    """Return the mean of `count` weights that began at 1 and saw nothing but gradient noise of this scale."""
    network = _Weights(torch.ones((count, 1), dtype=torch.float64))
    optimizer = make(network.parameters())
    for update in range(updates):
        random = generator(0, "gradient noise", update)
        noise = torch.randn((count, 1), generator=random, dtype=torch.float64)
        _update(network, optimizer, scale * noise, l2)
    return float(network.weight.detach().mean())


def output_weights(width: int, l2: float, first_scale: float, epochs: int) -> Tensor:
    """Return the output weights (10, width) of a network with one hidden layer, trained on digits.

    Args:
        width: of the hidden layer.
        l2: the penalty on both layers.
        first_scale: standard deviation that the output weights begin with.
        epochs: passes over scikit-learn's 1,797 digits.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = torch.from_numpy(bunch.data / 16).float(), torch.from_numpy(bunch.target).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        last = nn.Linear(width, 10)
        network = nn.Sequential(nn.Linear(64, width), nn.ReLU(), last)
        nn.init.normal_(last.weight, std=first_scale)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * (1 - epoch / epochs)
        for batch in torch.randperm(len(x), generator=generator(0, "digits order", epoch)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
            add_l2_gradient(optimizer, [network], l2)
            optimizer.step()
    return last.weight.detach()


class _Weights(nn.Module):
    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(values)


def _update(network: _Weights, optimizer: Optimizer, gradient: Tensor, l2: float) -> None:
    network.weight.grad = gradient.clone()
    add_l2_gradient(optimizer, [network], l2)
    optimizer.step()
