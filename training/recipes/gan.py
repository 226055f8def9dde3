"""Generative adversarial network (Goodfellow et al. 2014) with the networks of DCGAN (Radford et al. 2016).

    D minimises  softplus(-D(x)) + softplus(D(G(z)))      that is  -log D(x) - log(1 - D(G(z)))
    G minimises  softplus(-D(G(z)))                       the non-saturating loss

D(x) is a logit. What the course varies are options: the two learning rates, how often G moves for every move
of D, whether pixels are normalised, and what z is drawn from.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from training.config import BatchSize, Config, LearningRate
from training.networks.adversarial import Discriminator, Generator
from training.recipes.base import SAMPLES_ALIKE, ImageShape, Losses, Recipe, detached
from training.recipes.priors import PriorKind
from training.runtime.randomness import Randomness

PIXELS = {"unit": (0.0, 1.0), "normalised": (-1.0, 1.0)}


class GANConfig(Config):
    """Settings of the GAN."""

    batch_size: BatchSize = Field(64, description="images per update")
    learning_rate: LearningRate = Field(2e-4, description="step size of D at the start, and of G")
    generator_learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        None, description="step size of G at the start, where it is not that of D"
    )
    generator_steps: Annotated[int, Field(ge=1)] = Field(1, description="steps of G for every step of D")
    pixels: Literal["unit", "normalised"] = Field(
        "normalised", description="unit: from 0 to 1; normalised: less 0.5 and over 0.5, from -1 to 1"
    )
    noise: PriorKind = Field("normal", description="what the numbers of a latent are drawn from")
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = Field(64, description="numbers in one latent")
    width: Annotated[int, Field(ge=4)] = Field(32, description="channels of the widest-resolution layer")


class GAN(Recipe):
    """Generator G(z) against discriminator D(x)."""

    config_type = GANConfig
    family = "gan"
    title = "Generative adversarial network"
    objectives = (SAMPLES_ALIKE,)

    def __init__(self, config: GANConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.value_range = PIXELS[config.pixels]
        self.latent_dim, self.latent_noise = config.latent_dim, config.noise
        self.generator_steps = config.generator_steps
        generator = Generator(shape.channels, shape.size, self.latent_dim, config.width, self.value_range)
        self.generator = self.add("generator", generator, averaged=True)
        discriminator = Discriminator(shape.channels, shape.size, config.width, norm=True)
        self.discriminator = self.add("discriminator", discriminator, averaged=False)
        for name in self.networks:
            self.optimizers[name] = self.adamw(config, name, betas=(0.5, 0.999))
        if config.generator_learning_rate:
            for group in self.optimizers["generator"].param_groups:
                group["lr"] = config.generator_learning_rate

    def learning_rate_factor(self) -> float:
        """Return 1: the rates stay as they are."""
        return 1.0

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - no classes
        """Move D once, then G `generator_steps` times, each time on fresh noise."""
        x = first
        # D
        with torch.no_grad():
            fake = self.generator(random.rows("latents for D", len(x), self.draw))
        loss_d = softplus(-self.discriminator(x)).mean() + softplus(self.discriminator(fake)).mean()
        self.step("discriminator", loss_d)
        # G
        self.discriminator.requires_grad_(False)
        for number in range(self.generator_steps):
            z = random.rows(f"latents for G, step {number}", len(x), self.draw)
            loss_g = softplus(-self.discriminator(self.generator(z))).mean()
            self.step("generator", loss_g)
        self.discriminator.requires_grad_(True)
        return detached(d=loss_d, g=loss_g)

    def operations(self) -> dict[str, nn.Module]:
        return {"generate": self.averaged["generator"]}
