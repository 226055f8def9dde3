"""The networks of the comparison: ours, and pytorch/examples' VAE from its description."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.convolution import Encoder, UnitDecoder


class Ours(nn.Module):
    """The encoder and the decoder of our likelihood VAE."""

    def __init__(self, latent_dim: int, width: int) -> None:
        super().__init__()
        self.encoder = Encoder(1, 28, 2 * latent_dim, width)
        self.decoder = UnitDecoder(1, 28, latent_dim, width)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z|x), (N, latent_dim) each."""
        mu, logvar = self.encoder(images).chunk(2, dim=1)
        return mu, logvar

    def decode(self, latents: Tensor) -> Tensor:
        """Return the probability of white for every pixel, (N, 1, 28, 28)."""
        white: Tensor = self.decoder(latents)
        return white


class Perceptrons(nn.Module):
    """Two perceptrons with one hidden layer of 400 (the VAE example of github.com/pytorch/examples)."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2 * latent_dim)
        )
        self.outer = nn.Sequential(nn.Linear(latent_dim, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z|x), (N, latent_dim) each."""
        mu, logvar = self.inner(images).chunk(2, dim=1)
        return mu, logvar

    def decode(self, latents: Tensor) -> Tensor:
        """Return every pixel's parameter in (0, 1), (N, 1, 28, 28); kept off both ends as in the example."""
        pixels: Tensor = self.outer(latents).clamp(1e-4, 1 - 1e-4)
        return pixels.view(-1, 1, 28, 28)


def perceptrons_loss(network: Perceptrons, x: Tensor, continuous: bool) -> Tensor:
    """Return the negative evidence lower bound, summed over the batch.

    Pixels are Bernoulli; grey ones continuous Bernoulli (Loaiza-Ganem & Cunningham 2019), as in the example.
    """
    mu, logvar = network.encode(x)
    z = mu + (0.5 * logvar).exp() * torch.randn_like(mu)
    pixels = network.decode(z)
    loss = F.binary_cross_entropy(pixels, x, reduction="sum")
    if continuous:
        distribution = torch.distributions.ContinuousBernoulli(probs=pixels, validate_args=False)
        loss = -distribution.log_prob(x).sum()
    return loss + 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
