"""Translation learned from true pairs: what CycleGAN's translators can do when nothing has to be guessed.

    G: A -> B minimises |G(a) - b|_1,   F: B -> A minimises |F(b) - a|_1,   (a, b) a pair

It is the ceiling beside which recipes that see no pairs are judged. Whatever an a leaves open, G answers by
the median of what it could be.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from training.config import BatchSize, Config, LearningRate
from training.networks.translation import ResidualGenerator
from training.recipes.base import ImageShape, Losses, TranslationRecipe, detached
from training.runtime.randomness import Randomness


class PairedConfig(Config):
    """Settings of translation learned from pairs; the networks are CycleGAN's."""

    updates: Annotated[int, Field(ge=1)] = Field(5000, description="optimiser updates in the whole run")
    batch_size: BatchSize = Field(32, description="pairs per update")
    learning_rate: LearningRate = Field(1e-3, description="step size in the first half, of both networks")
    width: Annotated[int, Field(ge=4)] = Field(16, description="channels of the translators' first layer")
    blocks: Annotated[int, Field(ge=1)] = Field(3, description="residual blocks of a translator")


class Paired(TranslationRecipe):
    """Translators A -> B and B -> A, each trained by itself."""

    config_type = PairedConfig
    family = "paired"
    title = "Translation learned from pairs"
    learns_from_pairs = True

    def __init__(self, config: PairedConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        for name in ("a_to_b", "b_to_a"):
            network = ResidualGenerator(shape.channels, shape.size, config.width, config.blocks)
            self.add(name, network, averaged=True)
        self.optimizers["translators"] = self.adamw(config)

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - none needed
        """Update both translators on one batch of pairs."""
        a, b = first, second
        g, f = self.networks["a_to_b"], self.networks["b_to_a"]
        there, back = (g(a) - b).abs().mean(), (f(b) - a).abs().mean()
        self.step("translators", there + back)
        return detached(there=there, back=back)
