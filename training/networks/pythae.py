"""Networks of pythae, named as it saves them: its default perceptrons, and its convolutions for MNIST.

Images are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class PerceptronEncoder(nn.Module):
    """Images (N, *shape) to latents (N, latent_dim), with the log variances where it is one of a VAE."""

    def __init__(self, shape: Sequence[int], latent_dim: int, hidden: int, has_variance: bool) -> None:
        super().__init__()
        pixels = 1
        for side in shape:
            pixels *= side
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU())])
        self.embedding = nn.Linear(hidden, latent_dim)
        self.log_var = nn.Linear(hidden, latent_dim) if has_variance else None

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the latents, or means and log variances."""
        features = images.flatten(1)
        for layer in self.layers:
            features = layer(features)
        latents: Tensor = self.embedding(features)
        return latents if self.log_var is None else (latents, self.log_var(features))


class PerceptronDecoder(nn.Module):
    """Latents (N, latent_dim) to images (N, *shape) in [0, 1]."""

    def __init__(self, shape: Sequence[int], latent_dim: int, hidden: int) -> None:
        super().__init__()
        pixels = 1
        for side in shape:
            pixels *= side
        self.layers = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU()),
                nn.Sequential(nn.Linear(hidden, pixels), nn.Sigmoid()),
            ]
        )
        self.shape = tuple(shape)

    def forward(self, latents: Tensor) -> Tensor:
        features = latents
        for layer in self.layers:
            features = layer(features)
        return features.reshape(-1, *self.shape)


MNIST = (1, 28, 28)
WIDTHS = (128, 256, 512, 1024)
"""Channels after each convolution, whose last leaves one pixel of an image of MNIST."""
SIDE = 4
"""Of what the decoder begins with, in pixels."""


class ConvolutionalEncoder(nn.Module):
    """Images (N, 1, 28, 28) to latents (N, latent_dim), with the log variances where it is one of a VAE."""

    def __init__(self, latent_dim: int, has_variance: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU())
            for before, after in pairwise((1, *WIDTHS))
        )
        self.embedding = nn.Linear(WIDTHS[-1], latent_dim)
        self.log_var = nn.Linear(WIDTHS[-1], latent_dim) if has_variance else None

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the latents, or means and log variances."""
        features = images
        for layer in self.layers:
            features = layer(features)
        features = features.flatten(1)
        latents: Tensor = self.embedding(features)
        return latents if self.log_var is None else (latents, self.log_var(features))


class ConvolutionalDecoder(nn.Module):
    """Latents (N, latent_dim) to images (N, 1, 28, 28) in [0, 1]."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        widest, wide, narrow = WIDTHS[3], WIDTHS[2], WIDTHS[1]
        self.layers = nn.ModuleList(
            [
                nn.Linear(latent_dim, widest * SIDE**2),
                nn.Sequential(
                    nn.ConvTranspose2d(widest, wide, 3, stride=2, padding=1), nn.BatchNorm2d(wide), nn.ReLU()
                ),
                nn.Sequential(
                    nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1),
                    nn.BatchNorm2d(narrow),
                    nn.ReLU(),
                ),
                nn.Sequential(
                    nn.ConvTranspose2d(narrow, 1, 3, stride=2, padding=1, output_padding=1), nn.Sigmoid()
                ),
            ]
        )

    def forward(self, latents: Tensor) -> Tensor:
        features: Tensor = self.layers[0](latents).view(-1, WIDTHS[-1], SIDE, SIDE)
        for layer in list(self.layers)[1:]:
            features = layer(features)
        return features
