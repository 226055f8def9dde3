"""R3GAN (Huang et al. 2024): relativistic pairing (Jolicoeur-Martineau 2019) with two gradient penalties.

    D minimises  softplus(D(G(z)) - D(x)) + gamma/2 (|grad D(x)|^2 + |grad D(G(z))|^2)
    G minimises  softplus(D(x) - D(G(z)))

D says which of the two is the more real, so no verdict on a single image saturates; the penalties R1 and R2
make the game converge (Mescheder et al. 2018). They are taken every `penalty_interval` updates, that much
heavier (Karras et al. 2020). No network normalises anything. gamma falls to a tenth over the run, as a half
cosine.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from training.config import BatchSize, Config, LearningRate
from training.networks.adversarial import PlainDiscriminator, PlainGenerator
from training.recipes.base import SAMPLES_ALIKE, ImageShape, Losses, Recipe, detached
from training.recipes.priors import PriorKind
from training.runtime.randomness import Randomness


class R3GANConfig(Config):
    """Settings of R3GAN."""

    batch_size: BatchSize = Field(64, description="images per update")
    learning_rate: LearningRate = Field(5e-4, description="step size at the start, of both networks")
    gamma: Annotated[float, Field(ge=0)] = Field(0.5, description="weight of the penalties at the start")
    penalty_interval: Annotated[int, Field(ge=1)] = Field(
        4, description="updates from one penalty to the next"
    )
    noise: PriorKind = Field("normal", description="what the numbers of a latent are drawn from")
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = Field(64, description="numbers in one latent")
    width: Annotated[int, Field(ge=4)] = Field(16, description="channels of the widest-resolution layer")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.999, description="decay per update of the averaged weights, which are the ones judged and packaged"
    )


class R3GAN(Recipe):
    """Generator G(z) against a discriminator D(x) that compares."""

    config_type = R3GANConfig
    family = "r3gan"
    title = "Relativistic GAN with R1 and R2"
    objectives = (SAMPLES_ALIKE,)

    def __init__(self, config: R3GANConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.config = config
        self.latent_dim, self.latent_noise = config.latent_dim, config.noise
        generator = PlainGenerator(shape.channels, shape.size, self.latent_dim, config.width)
        self.generator = self.add("generator", generator, averaged=True)
        discriminator = PlainDiscriminator(shape.channels, shape.size, config.width)
        self.discriminator = self.add("discriminator", discriminator, averaged=False)
        for name in self.networks:
            self.optimizers[name] = self.adamw(config, name, betas=(0.0, 0.99))

    @property
    def gamma(self) -> float:
        """Return the weight of the penalties now."""
        return self.config.gamma * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * self.progress)))

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - no classes
        """Move D once, then G once on fresh noise beside the same images."""
        x = first
        # D
        with torch.no_grad():
            fake = self.generator(random.rows("latents for D", len(x), self.draw))
        penalise = random.update % self.config.penalty_interval == 0
        both = torch.cat([x, fake]).requires_grad_(penalise)
        scores = self.discriminator(both)
        real_score, fake_score = scores.chunk(2)
        loss_d = softplus(fake_score - real_score).mean()
        loss = loss_d
        if penalise:
            (gradient,) = torch.autograd.grad(scores.sum(), both, create_graph=True)
            squared_slopes = gradient.square().flatten(1).sum(1)
            loss = loss + self.gamma * self.config.penalty_interval * squared_slopes.mean()
        self.step("discriminator", loss)
        # G
        self.discriminator.requires_grad_(False)
        fake = self.generator(random.rows("latents for G", len(x), self.draw))
        real_score, fake_score = self.discriminator(torch.cat([x, fake])).chunk(2)
        loss_g = softplus(real_score - fake_score).mean()
        self.step("generator", loss_g)
        self.discriminator.requires_grad_(True)
        return detached(d=loss_d, g=loss_g)

    def operations(self) -> dict[str, nn.Module]:
        return {"generate": self.averaged["generator"]}
