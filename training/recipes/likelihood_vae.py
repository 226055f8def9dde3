"""Variational autoencoder as a model of likelihood (Kingma & Welling 2014; Burda et al. 2016).

Every time an image is shown, each pixel is drawn black or white with its grey level as the probability of
white (dynamic binarisation). Then p(x|z) is a product of Bernoulli distributions, the evidence lower bound

    log p(x|z) - beta KL(q(z|x) || N(0, I)),   summed over pixels, averaged over the batch

is a bound in nats on a true log-likelihood, and models can be compared by it. beta rises from 0 to 1 over
the first `warm_up` of the run, so that latents find a use before they cost anything (Sonderby et al. 2016).
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, JsonValue
from torch import Tensor, nn
from torch.nn import functional as F

from training.config import Config
from training.data.datasets import Dataset
from training.networks.convolution import Encoder, UnitDecoder
from training.recipes.base import ImageShape, Losses, Objective, Recipe, detached
from training.recipes.likelihood import likelihood
from training.recipes.vae import Posterior
from training.runtime.randomness import Randomness


class LikelihoodVAEConfig(Config):
    """Settings of the VAE of binarised images."""

    latent_dim: Annotated[int, Field(ge=1, le=1024)] = Field(40, description="numbers in one latent")
    width: Annotated[int, Field(ge=4)] = Field(16, description="channels of the widest-resolution layer")
    warm_up: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="share of the run over which the weight of the KL term rises to 1"
    )


class LikelihoodVAE(Recipe):
    """Encoder q(z|x) and Bernoulli decoder p(x|z), trained together by one optimiser."""

    config_type = LikelihoodVAEConfig
    family = "likelihood-vae"
    title = "Variational autoencoder of binarised images"
    value_range = (0.0, 1.0)
    objectives = (Objective({"elbo_nats": -1.0}, "evidence lower bound in nats, negative"),)

    def __init__(self, config: LikelihoodVAEConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.latent_dim = config.latent_dim
        self.config = config
        self.encoder = self.add(
            "encoder", Encoder(shape.channels, shape.size, 2 * config.latent_dim, config.width), averaged=True
        )
        self.decoder = UnitDecoder(shape.channels, shape.size, config.latent_dim, config.width)
        self.add("decoder", self.decoder, averaged=True)
        self.optimizers["all"] = self.adamw(config)

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - no classes
        """Maximise the evidence lower bound of one batch, binarised anew."""
        x = (random.uniform("binarisation", *first.shape) < first).float()
        mu, logvar = self.encoder(x).float().chunk(2, dim=1)
        z = mu + (0.5 * logvar).exp() * random.normal("posterior", *mu.shape)
        logits = self.decoder.logits(z)
        negative_log_likelihood = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
        beta = min(1.0, self.progress / self.config.warm_up) if self.config.warm_up else 1.0
        self.step("all", negative_log_likelihood + beta * kl, clip=200.0)
        return detached(bound=-negative_log_likelihood - kl, kl=kl)

    def operations(self) -> dict[str, nn.Module]:
        """Return encode, decode and generate; images come out as the probability of white."""
        decoder = self.averaged["decoder"]
        return {"encode": Posterior(self.averaged["encoder"]), "decode": decoder, "generate": decoder}

    def metrics(self, dataset: Dataset) -> dict[str, JsonValue]:
        """Return the importance-weighted bound on the likelihood of test images."""
        return likelihood(Posterior(self.averaged["encoder"]), self.averaged["decoder"], dataset)
