"""Conditional GAN: non-saturating loss (Goodfellow et al. 2014) with the R1 penalty (Mescheder et al. 2018).

    D minimises  softplus(-D(x, y)) + softplus(D(G(z, y), y)) + gamma/2 |grad_x D(x, y)|^2 - a log C(y | x)
    G minimises  softplus(-D(G(z, y), y)) - (a + b (1 - t)) log C(y | G(z, y))

The penalty is taken every `r1_interval` updates, that much heavier (lazy regularisation, Karras et al. 2020).

D is given the class by projection (Miyato & Koyama 2018), which is what makes G obey it. C, another head on
the same features, is not given it: it learns from real images to name the class (after Odena et al. 2017).

z is drawn from N(0, I), and for a share of the rows multiplied by a truncation t, uniform in [0, 1]. The less
daring a latent, the more C counts: truncated latents give typical images of their class.

A share of the labels may be replaced by a null label, the index after the last class, of which D then sees
images of all classes: asked for it, G draws from all of them. C knows no null label.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from training.config import BatchSize, Config, LearningRate
from training.networks.conditional import ConditionalDiscriminator, ConditionalGenerator
from training.recipes.base import ImageShape, Losses, Objective, Recipe, detached
from training.runtime.randomness import Randomness

NULL_LABEL = "any"


class CGANConfig(Config):
    """Settings of the conditional GAN."""

    batch_size: BatchSize = Field(64, description="images per update")
    learning_rate: LearningRate = Field(5e-4, description="step size at the start, of both networks")
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = Field(64, description="numbers in one latent")
    width: Annotated[int, Field(ge=8)] = Field(
        48, description="half the channels at the lowest resolution of the generator"
    )
    discriminator_width: Annotated[int, Field(ge=8)] = Field(
        32, description="channels of the discriminator's first layer"
    )
    null_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of the labels replaced by a null label; 0: there is none"
    )
    class_weight: Annotated[float, Field(ge=0)] = Field(0.5, description="a, the weight of naming the class")
    truncated_class_weight: Annotated[float, Field(ge=0)] = Field(
        1.0, description="b, what is added to that weight as a latent is drawn to 0"
    )
    truncated_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.25, description="share of the latents that are drawn towards 0 in training"
    )
    r1_gamma: Annotated[float, Field(ge=0)] = Field(0.1, description="weight of the R1 gradient penalty")
    r1_interval: Annotated[int, Field(ge=1)] = Field(8, description="updates from one penalty to the next")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.998, description="decay per update of the averaged weights, which are the ones judged and packaged"
    )


class ConditionalGAN(Recipe):
    """Generator G(z, y) against discriminator D(x, y)."""

    config_type = CGANConfig
    family = "cgan"
    title = "Conditional GAN"
    conditional = True
    objectives = (
        Objective(
            {"label_agreement": -1.0},
            "share of samples that a judge, trained without the validation images, takes for the class asked "
            "for, times -1; blind to variety: ten fixed images could do well",
        ),
    )

    def __init__(self, config: CGANConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.latent_dim = config.latent_dim
        self.config = config
        self.null_label = NULL_LABEL if config.null_share else None
        if self.null_label and NULL_LABEL in map(str.casefold, shape.classes):
            raise ValueError(
                f"--null-share {config.null_share}: a class is called {NULL_LABEL!r}, as the null label is"
            )
        classes = len(shape.classes) + bool(config.null_share)
        generator = ConditionalGenerator(shape.channels, shape.size, config.latent_dim, classes, config.width)
        self.generator = self.add("generator", generator, averaged=True)
        discriminator = ConditionalDiscriminator(
            shape.channels, shape.size, classes, config.discriminator_width
        )
        self.discriminator = self.add("discriminator", discriminator, averaged=False)
        for name in self.networks:
            self.optimizers[name] = self.adamw(config, name, betas=(0.0, 0.99))

    def learning_rate_factor(self) -> float:
        """Return a straight line from 1 to 0."""
        return 1 - self.progress

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:
        """Update D on one batch, then G on fresh noise with the same labels."""
        x, y = first, second
        classes, a = len(self.shape.classes), self.config.class_weight
        hidden = random.uniform("null labels", len(y)) < self.config.null_share
        y = torch.where(hidden, classes, y)
        # D
        with torch.no_grad():
            fake = self.generator(self._latents("D", len(x), random)[0], y)
        penalise = random.update % self.config.r1_interval == 0
        x.requires_grad_(penalise)
        real_logits, named = self.discriminator(x, y)
        loss_d = softplus(-real_logits).mean() + softplus(self.discriminator(fake, y)[0]).mean()
        penalty = torch.zeros((), device=x.device)
        if penalise:
            (gradient,) = torch.autograd.grad(real_logits.sum(), x, create_graph=True)
            penalty = 0.5 * self.config.r1_gamma * gradient.square().flatten(1).sum(1).mean()
        naming_d = cross_entropy(named, y, ignore_index=classes, reduction="none").mean()
        self.step("discriminator", loss_d + self.config.r1_interval * penalty + a * naming_d)
        # G
        self.discriminator.requires_grad_(False)
        z, t = self._latents("G", len(x), random)
        fake_logits, named = self.discriminator(self.generator(z, y), y)
        loss_g = softplus(-fake_logits).mean()
        weight = a + self.config.truncated_class_weight * (1 - t)
        naming_g = cross_entropy(named, y, ignore_index=classes, reduction="none")
        self.step("generator", loss_g + (weight * naming_g).mean())
        self.discriminator.requires_grad_(True)
        return detached(d=loss_d, g=loss_g, naming_d=naming_d, naming_g=naming_g.mean())

    def _latents(self, purpose: str, count: int, random: Randomness) -> tuple[Tensor, Tensor]:
        """Return latents (count, latent_dim) and the truncation of each, (count,), which is 1 for most."""
        z = random.normal(f"latents for {purpose}", count, self.latent_dim)
        truncated = random.uniform(f"truncated for {purpose}", count) < self.config.truncated_share
        t = torch.where(truncated, random.uniform(f"truncation for {purpose}", count), 1.0)
        return t[:, None] * z, t

    def operations(self) -> dict[str, nn.Module]:
        return {"generate": self.averaged["generator"]}
