"""The exponential moving average (EMA) of a network's weights, which is what is judged and packaged."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move weights to decay * average + (1 - decay) * network; buffers are copied.

    Buffers are no weights: the statistics of normalisations are moving averages already.
    """
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
    for kept, current in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(current)
