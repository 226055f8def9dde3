"""Batch normalisation of a batch that several processes share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.runtime import distributed


class SharedBatchNorm(_BatchNorm):
    """Normalises by the mean and variance of the rows of all processes; weights and buffers are those given.

    torch's own `SyncBatchNorm` does the same, on GPUs alone.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, affine=False)
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, ...) of the same shape and type."""
        if not self.training:
            return super().forward(features)
        axes = [axis for axis in range(features.ndim) if axis != 1]
        values = features.float()
        own = torch.stack([values.mean(axes), values.var(axes, correction=0)])
        means, variances = distributed.all_gather(own[None]).unbind(1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        self._remember(mean.detach(), variance.detach(), features.numel() // features.shape[1])
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        shape = [1, -1] + [1] * (features.ndim - 2)
        centred = (values - mean.view(shape)) * scale.view(shape)
        return (centred if self.bias is None else centred + self.bias.view(shape)).to(features.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, own_numbers: int) -> None:
        """Move the running statistics; of `own_numbers` values per channel in every process."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        numbers = own_numbers * distributed.count()
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (numbers / (numbers - 1)), self.momentum)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        """Accept any number of axes from 2 on."""


def share_statistics(network: nn.Module) -> None:
    """Put a SharedBatchNorm in the place of every batch normalisation within a network."""
    for name, child in network.named_children():
        if isinstance(child, _BatchNorm):
            setattr(network, name, SharedBatchNorm(child))
        else:
            share_statistics(child)
