"""Undercomplete autoencoder (Hinton & Salakhutdinov 2006): a latent too short to copy the image through.

    z = encode(x),   r = decode(z),   minimise |r - x|^2

summed over pixels and averaged over the batch. Nothing in the loss fixes the scale of a latent; to normalise
it by the statistics of each batch would disturb it by about 1/sqrt(batch size), which costs more than it
gives.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from training.config import Config
from training.networks.convolution import Encoder, UnitDecoder
from training.recipes.base import ImageShape, Losses, Recipe, detached
from training.runtime.randomness import Randomness


class AutoencoderConfig(Config):
    """Settings of the undercomplete autoencoder."""

    latent_dim: Annotated[int, Field(ge=1, le=1024)] = Field(16, description="numbers in one latent")
    width: Annotated[int, Field(ge=4)] = Field(32, description="channels of the widest-resolution layer")
    hidden: Annotated[int, Field(ge=0)] = Field(
        0,
        description="units in each of two more layers on either side of the latent, 0 for none; "
        "a latent of few numbers is worth them",
    )


class Autoencoder(Recipe):
    """Encoder and decoder, trained together by one optimiser."""

    config_type = AutoencoderConfig
    family = "autoencoder"
    title = "Undercomplete autoencoder"
    value_range = (0.0, 1.0)

    def __init__(self, config: AutoencoderConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.latent_dim = config.latent_dim
        sizes = (shape.channels, shape.size, self.latent_dim, config.width, config.hidden)
        self.encoder = self.add("encoder", Encoder(*sizes), averaged=True)
        self.decoder = self.add("decoder", UnitDecoder(*sizes), averaged=True)
        self.optimizers["all"] = self.adamw(config)

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - no classes
        """Minimise the squared error of one batch."""
        x = first
        r = self.decoder(self.encoder(x))
        squared_error = (r - x).square().flatten(1).sum(1).mean()
        self.step("all", squared_error)
        return detached(mse=squared_error / x[0].numel())

    def operations(self) -> dict[str, nn.Module]:
        return {"encode": self.averaged["encoder"], "decode": self.averaged["decoder"]}
