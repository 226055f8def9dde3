"""Variational autoencoder (Kingma & Welling 2014) with one learned noise level for all pixels.

The evidence lower bound per image, in nats:

    log p(x|z) - KL(q(z|x) || p(z)),   p(x|z) = N(x; decode(z), sigma^2 I),   p(z) = N(0, I)

is summed over pixels and averaged over the batch. sigma is learned (sigma-VAE, Rybkin et al. 2021): it
settles at the reconstruction error and so sets the weight between the two terms. Once trained, a mixture of
Gaussians is fitted to the latents of the training images, as a second prior to generate from.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from training.config import Config, WeightDecay
from training.data.datasets import Dataset, to_range
from training.networks.convolution import Encoder, UnitDecoder
from training.recipes.base import ImageShape, Losses, Recipe, detached
from training.recipes.priors import MixturePrior
from training.runtime.chunks import batched
from training.runtime.randomness import Randomness, generator


class VAEConfig(Config):
    """Settings of the VAE."""

    weight_decay: WeightDecay = Field(
        1e-4, description="share of every parameter lost per update, times the step size; decoupled (AdamW)"
    )
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = Field(16, description="numbers in one latent")
    width: Annotated[int, Field(ge=4)] = Field(32, description="channels of the widest-resolution layer")
    prior: Literal["normal", "mixture"] = Field(
        "mixture",
        description="where generate draws latents from: N(0, I), or a mixture fitted to the latents",
    )


class VAE(Recipe):
    """Encoder q(z|x) and decoder p(x|z), trained together by one optimiser."""

    config_type = VAEConfig
    family = "vae"
    title = "Variational autoencoder"
    value_range = (0.0, 1.0)

    def __init__(self, config: VAEConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.latent_dim = config.latent_dim
        self.encoder = self.add(
            "encoder", Encoder(shape.channels, shape.size, 2 * self.latent_dim, config.width), averaged=True
        )
        self.decoder = self.add(
            "decoder", UnitDecoder(shape.channels, shape.size, self.latent_dim, config.width), averaged=True
        )
        if config.prior == "mixture":
            self.add("prior", MixturePrior(self.latent_dim), averaged=True)
            self.prior = cast(MixturePrior, self.averaged["prior"])
        self.seed = config.seed
        self.noise = NoiseLevel()
        self.add("noise", self.noise, averaged=False)
        self.optimizers["all"] = self.adamw(config)

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - no classes
        """Maximise the evidence lower bound on one batch."""
        x = first
        mu, logvar = self.encoder(x).float().chunk(2, dim=1)
        z = mu + (0.5 * logvar).exp() * random.normal("posterior", *mu.shape)
        squared_error = (self.decoder(z) - x).square().flatten(1).sum(1).mean()
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
        pixels = x[0].numel()
        log_sigma = self.noise.log_sigma
        negative_log_likelihood = (
            pixels * (log_sigma + 0.5 * math.log(2 * math.pi)) + 0.5 * squared_error * (-2 * log_sigma).exp()
        )
        loss = negative_log_likelihood + kl
        self.step("all", loss, clip=200.0)
        return detached(loss=loss, mse=squared_error / pixels, kl=kl)

    def finish(self, dataset: Dataset) -> None:
        """Fit the mixture to one draw from q(z|x) for every training image."""
        if self.prior is None:
            return
        encoder, images = Posterior(self.averaged["encoder"]), dataset.train.pixels

        def drawn(pixels: Tensor, noise: Tensor) -> Tensor:
            mu, logvar = encoder(to_range(pixels.to(self.device), self.value_range))
            return (mu + (0.5 * logvar).exp() * noise.to(self.device)).cpu()

        noise = torch.randn(len(images), self.latent_dim, generator=generator(self.seed, "prior"))
        self.prior.fit(batched(drawn, images, noise), self.seed)
        self.networks["prior"].load_state_dict(self.prior.state_dict())

    def operations(self) -> dict[str, nn.Module]:
        """Return encode, decode and generate; a VAE generates by decoding a draw from the prior."""
        decoder = self.averaged["decoder"]
        return {"encode": Posterior(self.averaged["encoder"]), "decode": decoder, "generate": decoder}


class NoiseLevel(nn.Module):
    """The learned log standard deviation of every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.tensor(-1.0))


class Posterior(nn.Module):
    """The encoder with its two halves taken apart: images -> (mean, log variance)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance, (N, latent_dim) each."""
        mu, logvar = self.encoder(images).chunk(2, dim=1)
        return mu, logvar
