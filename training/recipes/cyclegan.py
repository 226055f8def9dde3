"""CycleGAN (Zhu et al. 2017): two translators learned from unpaired images.

In the paper's symbols G: A -> B, F: B -> A, with critics D_B and D_A; least-squares losses (Mao et al. 2017):

    D minimises  (D_B(b) - 1)^2 + D_B(G(a))^2                                  (and the same for D_A)
    G minimises  (D_B(G(a)) - 1)^2 + lambda (|F(G(a)) - a|_1)                  (and the same for F)

There is no identity loss: at small sizes it makes "change nothing" the easiest answer. The half-trip image
gets a little noise before it goes back (`half_trip_noise`), so that no message can be hidden in it.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from training.config import BatchSize, Config, LearningRate
from training.networks.translation import PatchDiscriminator, ResidualGenerator
from training.recipes.base import ImageShape, Losses, TranslationRecipe, detached
from training.runtime.distributed import all_gather, shard
from training.runtime.randomness import Randomness


class CycleGANConfig(Config):
    """Settings of CycleGAN."""

    updates: Annotated[int, Field(ge=1)] = Field(5000, description="optimiser updates in the whole run")
    batch_size: BatchSize = Field(32, description="images of each domain per update")
    learning_rate: LearningRate = Field(4e-4, description="step size in the first half, of all networks")
    width: Annotated[int, Field(ge=4)] = Field(16, description="channels of the translators' first layer")
    blocks: Annotated[int, Field(ge=1)] = Field(3, description="residual blocks of a translator")
    cycle_weight: Annotated[float, Field(ge=0)] = Field(10.0, description="lambda, the weight of coming back")
    half_trip_noise: Annotated[float, Field(ge=0)] = Field(
        0.02, description="standard deviation of the noise on a half-trip image, on the [-1, 1] scale"
    )
    buffer: Annotated[int, Field(ge=0)] = Field(
        50, description="earlier fakes per domain that the critics see again"
    )


class CycleGAN(TranslationRecipe):
    """Translators A -> B and B -> A with a patch discriminator each."""

    config_type = CycleGANConfig
    family = "cyclegan"
    title = "CycleGAN"

    def __init__(self, config: CycleGANConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.config = config
        for name in ("a_to_b", "b_to_a"):
            self.add(
                name,
                ResidualGenerator(shape.channels, shape.size, config.width, config.blocks),
                averaged=True,
            )
        for name in ("critic_a", "critic_b"):
            self.add(name, PatchDiscriminator(shape.channels, 2 * config.width), averaged=False)
        self.buffers = {name: FakeBuffer(config.buffer) for name in ("a", "b")}
        self.optimizers["translators"] = self.adamw(config, "a_to_b", "b_to_a", betas=(0.5, 0.999))
        self.optimizers["critics"] = self.adamw(config, "critic_a", "critic_b", betas=(0.5, 0.999))

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:
        """Update both translators on one batch, then both critics."""
        g, f = self.networks["a_to_b"], self.networks["b_to_a"]
        d_a, d_b = self.networks["critic_a"], self.networks["critic_b"]
        real_a, real_b = first, second
        # G and F
        for critic in (d_a, d_b):
            critic.requires_grad_(False)
        fake_b, fake_a = g(real_a).float(), f(real_b).float()
        rec_a = f(self._jostled(fake_b, random, "half-trip b"))
        rec_b = g(self._jostled(fake_a, random, "half-trip a"))
        adversarial = (d_b(fake_b).float() - 1).square().mean() + (d_a(fake_a).float() - 1).square().mean()
        cycle = (rec_a - real_a).abs().mean() + (rec_b - real_b).abs().mean()
        self.step("translators", adversarial + self.config.cycle_weight * cycle)
        # D_A and D_B
        for critic in (d_a, d_b):
            critic.requires_grad_(True)
        critics = torch.zeros((), device=real_a.device)
        for critic, real, fake, side in ((d_a, real_a, fake_a, "a"), (d_b, real_b, fake_b, "b")):
            seen = shard(self.buffers[side].exchange(all_gather(fake.detach()), random, side))
            critics = (
                critics + (critic(real).float() - 1).square().mean() + critic(seen).float().square().mean()
            )
        self.step("critics", 0.5 * critics)
        return detached(adversarial=adversarial, cycle=cycle, critics=critics)

    def _jostled(self, images: Tensor, random: Randomness, purpose: str) -> Tensor:
        return images + self.config.half_trip_noise * random.normal(purpose, *images.shape)

    def memory(self) -> dict[str, Tensor]:
        """Return the buffers of earlier fakes."""
        return {side: buffer.images for side, buffer in self.buffers.items() if buffer.images is not None}

    def recall(self, memory: dict[str, Tensor]) -> None:
        """Take the buffers back."""
        for side, images in memory.items():
            self.buffers[side].images = images.to(self.device)


class FakeBuffer:
    """Keeps `size` earlier fakes; hands out a mix of old and new ones (Shrivastava et al. 2017)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: Tensor | None = None

    def exchange(self, fakes: Tensor, random: Randomness, side: str) -> Tensor:
        """Return `fakes` with half of its rows swapped for earlier ones, of which no two are the same."""
        if self.images is None or len(self.images) < self.size:
            kept = fakes if self.images is None else torch.cat([self.images, fakes])
            self.images = kept[: self.size].clone()
            return fakes
        count = min(len(fakes) // 2, self.size)
        rows = random.permutation(f"rows {side}", len(fakes))[:count]
        slots = random.permutation(f"slots {side}", self.size)[:count]
        mixed = fakes.clone()
        mixed[rows] = self.images[slots]
        self.images[slots] = fakes[rows]
        return mixed
