"""k-sparse autoencoder (Makhzani & Frey 2013): a latent longer than the image and almost everywhere zero.

    z = the k largest of relu(encode(x)), zero elsewhere,   r = decode(z),   minimise |r - x|^2

What keeps it from copying the image is not the length of the latent but k, the numbers active at a time.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, JsonValue
from torch import Tensor, nn

from training.config import Config
from training.data.datasets import Dataset, to_range
from training.networks.convolution import Encoder, UnitDecoder
from training.recipes.base import ImageShape, Losses, Recipe, detached
from training.runtime.chunks import batched
from training.runtime.randomness import Randomness


class SparseConfig(Config):
    """Settings of the sparse autoencoder."""

    latent_dim: Annotated[int, Field(ge=1, le=4096)] = Field(1024, description="numbers in one latent")
    active: Annotated[int, Field(ge=1)] = Field(32, description="numbers that are not zero in one latent")
    width: Annotated[int, Field(ge=4)] = Field(16, description="channels of the widest-resolution layer")


class SparseAutoencoder(Recipe):
    """Encoder and decoder around a long, sparse latent."""

    config_type = SparseConfig
    family = "sparse-autoencoder"
    title = "Sparse autoencoder"
    value_range = (0.0, 1.0)

    def __init__(self, config: SparseConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        if config.active > config.latent_dim:
            raise ValueError(f"--active {config.active}: the latent has only {config.latent_dim} numbers")
        self.latent_dim = config.latent_dim
        self.encoder = self.add("encoder", SparseEncoder(shape, config), averaged=True)
        self.decoder = self.add(
            "decoder", UnitDecoder(shape.channels, shape.size, self.latent_dim, config.width), averaged=True
        )
        self.optimizers["all"] = self.adamw(config)

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - no classes
        """Minimise the squared error of one batch."""
        x = first
        z = self.encoder(x)
        squared_error = (self.decoder(z) - x).square().flatten(1).sum(1).mean()
        self.step("all", squared_error)
        active = (z != 0).sum(1).float().mean()
        return detached(mse=squared_error / x[0].numel(), active=active)

    def operations(self) -> dict[str, nn.Module]:
        return {"encode": self.averaged["encoder"], "decode": self.averaged["decoder"]}

    def metrics(self, dataset: Dataset) -> dict[str, JsonValue]:
        """Return how sparse the latents of the test images are, and the error with fewer numbers kept."""
        encoder, decoder = self.averaged["encoder"], self.averaged["decoder"]
        images = to_range(dataset.test.pixels, self.value_range)
        latents = batched(encoder, images)
        rows: dict[str, JsonValue] = {}
        for kept in (1, 2, 4, 8, 16, 32, 64, 128):
            if kept <= latents.count_nonzero(1).max():
                error = (batched(decoder, largest(latents, kept)) - images).square().mean().item()
                rows[str(kept)] = {"mse": error}
        return {
            "active_per_image": latents.count_nonzero(1).double().mean().item(),
            "units_ever_active": int((latents != 0).any(0).sum()),
            "error_by_numbers_kept": rows,
        }


class SparseEncoder(nn.Module):
    """Images -> latents (N, latent_dim) of which `active` numbers at most are above zero."""

    def __init__(self, shape: ImageShape, config: SparseConfig) -> None:
        super().__init__()
        self.active = config.active
        self.encoder = Encoder(shape.channels, shape.size, config.latent_dim, config.width)
        self.standardise = nn.BatchNorm1d(config.latent_dim, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        return largest(torch.relu(self.standardise(self.encoder(images).float())), self.active)


def largest(latents: Tensor, count: int) -> Tensor:
    """Return latents (N, D) with all but the `count` largest numbers of each row set to zero."""
    threshold = latents.topk(count, dim=1).values[:, -1:]
    return torch.where(latents >= threshold, latents, torch.zeros_like(latents))
