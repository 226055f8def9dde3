"""Linear autoencoder: two matrices, which find what principal component analysis finds (Baldi & Hornik 1989).

    z = V (x - mean),   r = W z + mean,   minimise |r - x|^2

No bias is learned: the mean of the training images is taken off before and put back after. At the minimum
W V projects onto the span of the first principal components; W and V themselves are free up to an
invertible map between them.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, JsonValue
from torch import Tensor, nn

from training.config import Config
from training.data.datasets import Dataset, to_range
from training.metrics import image_metrics
from training.metrics.pca import PCA
from training.recipes.base import ImageShape, Losses, Recipe, detached
from training.recipes.linear_maps import largest_angle_deg
from training.runtime.chunks import batched
from training.runtime.distributed import all_gather
from training.runtime.randomness import Randomness


class LinearConfig(Config):
    """Settings of the linear autoencoder."""

    latent_dim: Annotated[int, Field(ge=1, le=1024)] = Field(16, description="numbers in one latent")


class LinearAutoencoder(Recipe):
    """The matrices V and W."""

    config_type = LinearConfig
    family = "linear-autoencoder"
    title = "Linear autoencoder"
    value_range = (0.0, 1.0)

    def __init__(self, config: LinearConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.latent_dim = config.latent_dim
        pixels = shape.channels * shape.size**2
        self.mean = self.add("mean", Mean(pixels), averaged=True)
        self.v = self.add("encoder", nn.Linear(pixels, self.latent_dim, bias=False), averaged=True)
        self.w = self.add("decoder", nn.Linear(self.latent_dim, pixels, bias=False), averaged=True)
        self.optimizers["all"] = self.adamw(config)

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - no classes
        """Minimise the squared error of one batch."""
        x = self.mean(first.flatten(1))
        squared_error = (self.w(self.v(x)) - x).square().sum(1).mean()
        self.step("all", squared_error)
        return detached(mse=squared_error / x.shape[1])

    def operations(self) -> dict[str, nn.Module]:
        mean, v, w = (self.averaged[name] for name in ("mean", "encoder", "decoder"))
        assert isinstance(mean, Mean)
        return {"encode": LinearEncoder(mean, v), "decode": LinearDecoder(mean, w, self.shape)}

    def metrics(self, dataset: Dataset) -> dict[str, JsonValue]:
        """Return how near W V comes to PCA: its error without clipping, and the angle between their spans."""
        train, test = (to_range(part.pixels, self.value_range) for part in (dataset.train, dataset.test))
        operations = self.operations()
        rebuilt = batched(lambda rows: operations["decode"](operations["encode"](rows)), test)
        pca = PCA.fit(train, self.latent_dim)
        columns = self.averaged["decoder"].get_parameter("weight")
        return {
            "unclipped_mse_over_pca": image_metrics.mse(rebuilt, test) / pca.mse(test, self.latent_dim),
            "largest_principal_angle_deg": largest_angle_deg(columns, pca.components.T),
        }


class Mean(nn.Module):
    """The mean of all rows seen in training, which is taken off them."""

    total: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def value(self) -> Tensor:
        """Return the mean, zero before any row was seen."""
        return (self.total / self.count.clamp_min(1)).float()

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows (N, size) without the mean."""
        if self.training:
            sums = all_gather(rows.detach().double().sum(0)[None])
            self.total += sums.sum(0)
            self.count += len(rows) * len(sums)
        return rows - self.value()


class LinearEncoder(nn.Module):
    """Images -> latents (N, latent_dim)."""

    def __init__(self, mean: nn.Module, v: nn.Module) -> None:
        super().__init__()
        self.mean, self.v = mean, v

    def forward(self, images: Tensor) -> Tensor:
        latents: Tensor = self.v(self.mean(images.flatten(1)))
        return latents


class LinearDecoder(nn.Module):
    """Latents -> images (N, C, size, size), not clipped to [0, 1]."""

    def __init__(self, mean: Mean, w: nn.Module, shape: ImageShape) -> None:
        super().__init__()
        self.mean, self.w, self.shape = mean, w, shape

    def forward(self, latents: Tensor) -> Tensor:
        rows = self.w(latents) + self.mean.value()
        return rows.unflatten(1, (self.shape.channels, self.shape.size, self.shape.size))
