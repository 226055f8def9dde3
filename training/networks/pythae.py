"""The perceptrons that pythae builds where it is given no networks, named as it saves them.

A sequence of layers of one hidden layer each way; images are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class PerceptronEncoder(nn.Module):
    """Images (N, *shape) to codes (N, latent_dim), with the log variances where it is one of a VAE."""

    def __init__(self, shape: Sequence[int], latent_dim: int, hidden: int, has_variance: bool) -> None:
        super().__init__()
        pixels = 1
        for side in shape:
            pixels *= side
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU())])
        self.embedding = nn.Linear(hidden, latent_dim)
        self.log_var = nn.Linear(hidden, latent_dim) if has_variance else None

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the codes, or means and log variances."""
        features = images.flatten(1)
        for layer in self.layers:
            features = layer(features)
        codes: Tensor = self.embedding(features)
        return codes if self.log_var is None else (codes, self.log_var(features))


class PerceptronDecoder(nn.Module):
    """Codes (N, latent_dim) to images (N, *shape) in [0, 1]."""

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

    def forward(self, codes: Tensor) -> Tensor:
        """Return the images."""
        features = codes
        for layer in self.layers:
            features = layer(features)
        return features.reshape(-1, *self.shape)
