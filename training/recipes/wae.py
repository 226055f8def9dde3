"""Wasserstein autoencoder with an MMD penalty (Tolstikhin et al. 2018).

    z = encode(x),   minimise |decode(z) - x|^2 + lambda MMD^2(z of the batch, draws from N(0, I))

The encoder is deterministic. Where a VAE pulls the posterior of every image to the prior, the penalty only
asks that the latents of all images together look like draws from it. MMD^2 is the unbiased statistic with
inverse multiquadric kernels of several scales; the error is summed over the pixels of an image.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from training.config import BatchSize
from training.metrics.divergences import inverse_multiquadric, mmd
from training.recipes.autoencoder import Autoencoder, AutoencoderConfig
from training.recipes.base import ImageShape, Losses, detached
from training.runtime.distributed import all_gather
from training.runtime.randomness import Randomness

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class WAEConfig(AutoencoderConfig):
    """Settings of the Wasserstein autoencoder."""

    batch_size: BatchSize = Field(256, description="images per update")
    mmd_weight: Annotated[float, Field(ge=0)] = Field(
        10.0, description="lambda: weight of MMD^2 beside the squared error of an image"
    )


class WAE(Autoencoder):
    """Deterministic encoder and decoder; the MMD of a batch of latents to the prior."""

    config_type = WAEConfig
    family = "wae-mmd"
    title = "Wasserstein autoencoder (MMD)"

    def __init__(self, config: WAEConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.config = config
        self.kernel = inverse_multiquadric(SCALES)

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - no classes
        """Minimise the squared error of one batch and the distance of its latents from the prior."""
        x = first
        z = self.encoder(x).float()
        squared_error = (self.decoder(z) - x).square().flatten(1).sum(1).mean()
        prior = random.normal("prior", *z.shape)
        distance = mmd(all_gather(z), all_gather(prior), self.kernel)
        self.step("all", squared_error + self.config.mmd_weight * distance)
        return detached(mse=squared_error / x[0].numel(), mmd=distance)

    def operations(self) -> dict[str, nn.Module]:
        """Return encode, decode and generate, which decodes a draw from the prior."""
        return {**super().operations(), "generate": self.averaged["decoder"]}
