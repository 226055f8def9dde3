"""L1 and L2 penalties on weights, the same for every recipe and for linear regression.

    cost = data loss + l1 sum |w| + l2/2 sum w^2

L2 adds l2 w to the gradient, as if it stood in the loss: what the optimiser does to a gradient (momentum,
Adam's scaling) it does to this part too. L1 has no gradient at 0; it is a proximal step after the optimiser's
(ISTA, Beck & Teboulle 2009), which moves every weight towards 0 by rate * l1 and stops there. Decoupled decay
(AdamW, Loshchilov & Hutter 2019) is neither: it multiplies w by 1 - rate * decay, past the optimiser.

Weights are parameters with more than one axis, without embedding tables: those hold a class's gains and
offsets. Biases and normalisations are never penalised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def soft_threshold(values: Tensor, threshold: float) -> Tensor:
    """Return sign(v) max(|v| - threshold, 0), the proximal operator of threshold * |v|; same shape."""
    return values.sign() * (values.abs() - threshold).clamp_min(0)


@torch.no_grad()
def add_l2_gradient(optimizer: Optimizer, networks: Iterable[nn.Module], l2: float) -> None:
    """Add l2 * w to the gradients, before the optimiser's step."""
    for weight, gradient, _ in _weights(optimizer, networks):
        gradient.add_(weight, alpha=l2)


@torch.no_grad()
def shrink(optimizer: Optimizer, networks: Iterable[nn.Module], l1: float) -> None:
    """Make the L1 penalty's proximal step, after the optimiser's step."""
    for weight, _, rate in _weights(optimizer, networks):
        weight.copy_(soft_threshold(weight, rate * l1))


def _weights(
    optimizer: Optimizer, networks: Iterable[nn.Module]
) -> Iterator[tuple[nn.Parameter, Tensor, float]]:
    """Yield what this optimiser moves and penalties touch: weight, gradient, learning rate."""
    tables = {
        module.weight
        for network in networks
        for module in network.modules()
        if isinstance(module, nn.Embedding)
    }
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and parameter.dim() > 1 and parameter not in tables:
                yield parameter, parameter.grad, group["lr"]
