"""Wasserstein GAN with gradient penalty (Gulrajani et al. 2017).

    D minimises  D(G(z)) - D(x) + lambda (|grad D(x')| - 1)^2,   x' = u x + (1 - u) G(z),  u uniform per image
    G minimises  -D(G(z)),  once for every `critic_steps` steps of D

D approaches the function of slope 1 whose means over the two sets differ most; that difference, `distance`,
is their Wasserstein-1 distance. D normalises no batches, since the penalty is on single images.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from training.config import BatchSize, Config, LearningRate
from training.networks.adversarial import Discriminator, Generator
from training.recipes.base import SAMPLES_ALIKE, ImageShape, Losses, Recipe, detached
from training.recipes.priors import PriorKind
from training.runtime.randomness import Randomness


class WGANGPConfig(Config):
    """Settings of WGAN-GP."""

    batch_size: BatchSize = Field(64, description="images per update, which is one step of D")
    learning_rate: LearningRate = Field(2e-4, description="step size at the start, of both networks")
    penalty: Annotated[float, Field(ge=0)] = Field(10.0, description="lambda")
    critic_steps: Annotated[int, Field(ge=1)] = Field(5, description="steps of D for every step of G")
    noise: PriorKind = Field("normal", description="what the numbers of a latent are drawn from")
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = Field(64, description="numbers in one latent")
    width: Annotated[int, Field(ge=4)] = Field(32, description="channels of the widest-resolution layer")


class WGANGP(Recipe):
    """Generator G(z) against critic D(x)."""

    config_type = WGANGPConfig
    family = "wgan-gp"
    title = "Wasserstein GAN with gradient penalty"
    objectives = (SAMPLES_ALIKE,)

    def __init__(self, config: WGANGPConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.latent_dim, self.latent_noise = config.latent_dim, config.noise
        self.penalty, self.critic_steps = config.penalty, config.critic_steps
        generator = Generator(shape.channels, shape.size, self.latent_dim, config.width, self.value_range)
        self.generator = self.add("generator", generator, averaged=True)
        critic = Discriminator(shape.channels, shape.size, config.width, norm=False)
        self.critic = self.add("critic", critic, averaged=False)
        for name in self.networks:
            self.optimizers[name] = self.adamw(config, name, betas=(0.0, 0.9))

    def learning_rate_factor(self) -> float:
        """Return a straight line from 1 to 0."""
        return 1 - self.progress

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - no classes
        """Move D, and with the first of every `critic_steps` moves G."""
        x = first
        # D
        with torch.no_grad():
            fake = self.generator(random.rows("latents for D", len(x), self.draw))
        distance = self.critic(x).mean() - self.critic(fake).mean()
        u = random.uniform("between", len(x), 1, 1, 1)
        between = (u * x + (1 - u) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        slope = gradient.flatten(1).norm(dim=1)
        self.step("critic", self.penalty * (slope - 1).square().mean() - distance)
        # G
        if random.update % self.critic_steps == 0:
            self.critic.requires_grad_(False)
            z = random.rows("latents for G", len(x), self.draw)
            self.step("generator", -self.critic(self.generator(z)).mean())
            self.critic.requires_grad_(True)
        return detached(distance=distance, slope=slope.mean())

    def operations(self) -> dict[str, nn.Module]:
        return {"generate": self.averaged["generator"]}
