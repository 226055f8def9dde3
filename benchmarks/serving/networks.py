"""The two networks that every server serves: an encoder of images and a generator by class. Untrained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LATENT_DIM = 16
NOISE_DIM = 64
CLASSES = 10


class Encoder(nn.Module):
    """Images (N, 1, 28, 28) in [0, 1] -> latents (N, 16)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(128 * 7 * 7, LATENT_DIM),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the latents."""
        latents: Tensor = self.layers(images)
        return latents


class Generator(nn.Module):
    """Noise (N, 64) and labels (N,) -> images (N, 1, 28, 28) in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, 10)
        self.first = nn.Sequential(
            nn.Linear(NOISE_DIM + 10, 160), nn.BatchNorm1d(160), nn.ReLU(), nn.Linear(160, 128 * 7 * 7)
        )
        self.layers = nn.Sequential(
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return the images."""
        features = self.first(torch.cat([latents, self.embedding(labels)], dim=1))
        images: Tensor = self.layers(features.view(-1, 128, 7, 7))
        return images


class SizedEncoder(nn.Module):
    """The encoder for images of any one size: a mean over the image in the place of a flat layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Encoder().layers[:6]
        self.last = nn.Linear(128, LATENT_DIM)

    def forward(self, images: Tensor) -> Tensor:
        """Return the latents."""
        latents: Tensor = self.last(self.layers(images).mean((2, 3)))
        return latents


def sized_encoder() -> SizedEncoder:
    """Return it with the same weights every time, ready to run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SizedEncoder().eval()


def networks() -> tuple[Encoder, Generator]:
    """Return both with the same weights every time, ready to run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Encoder().eval(), Generator().eval()
