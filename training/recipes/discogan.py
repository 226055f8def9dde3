"""DiscoGAN (Kim et al. 2017): relations between two domains, found without pairs.

In the paper's symbols  G_AB and G_BA  translate through a flat code, with no path around it;  D_A and D_B
judge whole images. Per direction, with x_AB = G_AB(x_A) and x_ABA = G_BA(x_AB):

    L_const  = |x_ABA - x_A|^2                       coming back
    L_gan    = -log D_B(x_AB)                        looking like domain B
    L_fm     = sum over layers of the squared distance between mean features of x_B and x_AB

    G minimises  r L_const + (1 - r) (0.1 L_gan + 0.9 L_fm),   r = 0.01 at first, then 0.8
    D minimises  -log D_B(x_B) - log(1 - D_B(x_AB)),  once for every two updates of G
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from training.config import BatchSize, Config, LearningRate, WeightDecay
from training.networks.convolution import Decoder, Encoder
from training.networks.translation import FeatureDiscriminator
from training.recipes.base import ImageShape, Losses, TranslationRecipe, detached
from training.runtime.distributed import mean
from training.runtime.randomness import Randomness


class DiscoGANConfig(Config):
    """Settings of DiscoGAN."""

    updates: Annotated[int, Field(ge=1)] = Field(5000, description="optimiser updates in the whole run")
    batch_size: BatchSize = Field(64, description="images of each domain per update")
    learning_rate: LearningRate = Field(4e-4, description="step size at the start, of all networks")
    weight_decay: WeightDecay = Field(
        1e-5, description="share of every parameter lost per update, times the step size; decoupled (AdamW)"
    )
    code: Annotated[int, Field(ge=2)] = Field(
        64, description="numbers in the code between the two halves of a translator"
    )
    width: Annotated[int, Field(ge=4)] = Field(16, description="channels of the widest-resolution layer")
    first_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="r in the first third of the run"
    )
    rate: Annotated[float, Field(ge=0, le=1)] = Field(0.8, description="r in the rest of the run")
    feature_weight: Annotated[float, Field(ge=0, le=1)] = Field(
        0.9, description="share of feature matching against L_gan"
    )


class DiscoGAN(TranslationRecipe):
    """Translators A -> B and B -> A with a whole-image discriminator each."""

    config_type = DiscoGANConfig
    family = "discogan"
    title = "DiscoGAN"

    def __init__(self, config: DiscoGANConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.config = config
        for name in ("a_to_b", "b_to_a"):
            self.add(name, CodeTranslator(shape, config.code, config.width), averaged=True)
        for name in ("critic_a", "critic_b"):
            self.add(name, FeatureDiscriminator(shape.channels, shape.size, config.width), averaged=False)
        self.optimizers["translators"] = self.adamw(config, "a_to_b", "b_to_a", betas=(0.5, 0.999))
        self.optimizers["critics"] = self.adamw(config, "critic_a", "critic_b", betas=(0.5, 0.999))

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:
        """Update both translators, and at every second call both critics."""
        g_ab, g_ba = self.networks["a_to_b"], self.networks["b_to_a"]
        d_a, d_b = self.networks["critic_a"], self.networks["critic_b"]
        x_a, x_b = first, second
        x_ab, x_ba = g_ab(x_a).float(), g_ba(x_b).float()
        # D
        if random.update % 2 == 0:
            critics = _critic_loss(d_a, x_a, x_ba.detach()) + _critic_loss(d_b, x_b, x_ab.detach())
            self.step("critics", critics)
        # G
        const = (g_ba(x_ab) - x_a).square().mean() + (g_ab(x_ba) - x_b).square().mean()
        gan_a, features_a = _fooling(d_a, x_a, x_ba)
        gan_b, features_b = _fooling(d_b, x_b, x_ab)
        share = self.config.feature_weight
        likeness = (1 - share) * (gan_a + gan_b) + share * (features_a + features_b)
        r = self.config.first_rate if self.progress < 1 / 3 else self.config.rate
        self.step("translators", r * const + (1 - r) * likeness)
        return detached(const=const, gan=gan_a + gan_b, features=features_a + features_b)


class CodeTranslator(nn.Module):
    """Image -> code -> image in [-1, 1], with no path around the code."""

    def __init__(self, shape: ImageShape, code: int, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(shape.channels, shape.size, code, width)
        self.decoder = Decoder(shape.channels, shape.size, code, width)

    def forward(self, images: Tensor) -> Tensor:
        """Return the translated images, same shape."""
        return torch.tanh(self.decoder(self.encoder(images)))


def _critic_loss(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Return -log D(real) - log(1 - D(fake))."""
    return softplus(-critic(real)[0].float()).mean() + softplus(critic(fake)[0].float()).mean()


def _fooling(critic: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return L_gan and L_fm for fakes of one domain; the critic learns nothing from it."""
    critic.requires_grad_(False)
    logits, fake_features = critic(fake)
    with torch.no_grad():
        _, real_features = critic(real)
    critic.requires_grad_(True)
    distances = [
        (mean(a.float().mean(0)) - mean(b.float().mean(0))).square().mean()
        for a, b in zip(real_features, fake_features, strict=True)
    ]
    return softplus(-logits.float()).mean(), torch.stack(distances).sum()
