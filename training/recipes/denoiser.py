"""Denoising autoencoder (Vincent et al. 2008): the latent of a spoiled image must give back the clean one.

    x' = x + noise of a level drawn for each image,   r = decode(encode(x')),   minimise loss(r, x)

The squared error makes r the mean of all clean images that could have become x', the absolute error their
median, which noise without a mean (Cauchy) cannot carry off; the Huber loss lies between them. Noisy images
are clipped to [0, 1], as those are that an image file can hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field, JsonValue
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.corruption import NoiseKind, corrupt
from training.data.datasets import Dataset, to_range
from training.metrics import image_metrics
from training.recipes.autoencoder import Autoencoder, AutoencoderConfig
from training.recipes.base import ImageShape, Losses, Objective, detached
from training.runtime.chunks import batched
from training.runtime.distributed import pad_to_global
from training.runtime.randomness import Randomness, generator

LossName = Literal["mse", "l1", "huber"]
HUBER_DELTA = 0.1
"""Error of a pixel in [0, 1] beyond which the Huber loss grows straight."""
PIXEL_LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda r, x: (r - x).square(),
    "l1": lambda r, x: (r - x).abs(),
    "huber": lambda r, x: F.huber_loss(r, x, reduction="none", delta=HUBER_DELTA) / HUBER_DELTA,
}
LEVELS = (0.1, 0.2, 0.3, 0.5)
"""At which it is judged."""
SHEET_IMAGES = 22


class DenoiserConfig(AutoencoderConfig):
    """Settings of the denoising autoencoder."""

    latent_dim: Annotated[int, Field(ge=1, le=1024)] = Field(64, description="numbers in one latent")
    noise: NoiseKind = Field("gaussian", description="what spoils the images")
    level: Annotated[float, Field(gt=0)] = Field(
        0.5,
        description="largest level, of which each image draws a part: a standard deviation (Cauchy: a scale) "
        "of pixels in [0, 1], or the share of pixels hit",
    )
    loss: LossName = Field("mse", description="what is minimised per pixel")


class Denoiser(Autoencoder):
    """Encoder of noisy images and decoder to clean ones, trained together by one optimiser."""

    config_type = DenoiserConfig
    family = "denoising-autoencoder"
    title = "Denoising autoencoder"
    objectives = (Objective({"by_noise.*.psnr_db": -1.0}, "PSNR of restored images in dB, negative"),)

    def __init__(self, config: DenoiserConfig, shape: ImageShape, device: torch.device) -> None:
        super().__init__(config, shape, device)
        self.config = config

    @property
    def domains(self) -> tuple[str, str]:
        """Return what `translate` goes from and to."""
        return ("noisy", "clean")

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:  # noqa: ARG002 - no classes
        """Minimise the loss between one batch and what comes back from its noisy version."""
        x = first
        levels = self.config.level * random.uniform("level", len(x))
        noisy = random.rows("noise", len(x), lambda _, drawn: self._noisy(x, levels, drawn))
        r = self.decoder(self.encoder(noisy))
        loss = PIXEL_LOSSES[self.config.loss](r, x).flatten(1).sum(1).mean()
        self.step("all", loss)
        return detached(loss=loss / x[0].numel(), mse=(r - x).square().mean())

    def _noisy(self, x: Tensor, levels: Tensor, random: torch.Generator) -> Tensor:
        """Return a whole batch of which only this process's rows, x spoiled, mean anything."""
        return corrupt(pad_to_global(x), self.config.noise, pad_to_global(levels), random).clamp(0, 1)

    def operations(self) -> dict[str, nn.Module]:
        """Return encode, decode and the way through both."""
        halves = super().operations()
        return {**halves, "translate.clean": nn.Sequential(halves["encode"], halves["decode"])}

    def sheet_images(self, dataset: Dataset) -> Tensor:
        """Return the first test images clean, noisy at the largest level, and restored."""
        clean = to_range(dataset.test.pixels[:SHEET_IMAGES].to(self.device), self.value_range)
        noisy = self._spoiled(clean, self.config.level)
        return torch.stack([clean, noisy, self._restored(noisy)], dim=1).flatten(0, 1).cpu()

    def metrics(self, dataset: Dataset) -> dict[str, JsonValue]:
        """Return what noise of several levels does to the test images, before and after."""
        clean = to_range(dataset.test.pixels, self.value_range)
        rows: dict[str, JsonValue] = {}
        for level in LEVELS:
            noisy = self._spoiled(clean, level)
            restored = self._restored(noisy)
            rows[f"{self.config.noise} {level}"] = {
                "noisy_psnr_db": image_metrics.psnr(noisy, clean),
                "psnr_db": image_metrics.psnr(restored, clean),
                "noisy_ssim": image_metrics.ssim(noisy, clean),
                "ssim": image_metrics.ssim(restored, clean),
            }
        return {"by_noise": rows}

    def _spoiled(self, clean: Tensor, level: float) -> Tensor:
        levels = torch.full((len(clean),), level, device=clean.device)
        return corrupt(clean, self.config.noise, levels, generator(0, f"denoise {level}")).clamp(0, 1)

    def _restored(self, noisy: Tensor) -> Tensor:
        return batched(self.operations()["translate.clean"], noisy)
