"""The bound on the likelihood, against models of which log p(x) is known."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from training.data.datasets import Dataset
from training.recipes import likelihood
from training.runtime.randomness import generator

PIXELS = 6
GRID = torch.linspace(-15, 15, 20_001, dtype=torch.float64)[:, None]
STEP = GRID[1, 0] - GRID[0, 0]


class Toy:
    """One latent number, Bernoulli pixels: log p(x) is an integral over a line."""

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        self.slopes = 2 * torch.randn(PIXELS, generator=random)
        self.shifts = torch.randn(PIXELS, generator=random)

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z * self.slopes.to(z.dtype) + self.shifts.to(z.dtype)).view(-1, 1, 2, 3)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """An approximate posterior, wrong on purpose but wide enough."""
        mu = 0.3 * (images.flatten(1) * self.slopes).sum(1, keepdim=True)
        return mu, torch.full_like(mu, math.log(1.5))

    def log_p(self, images: Tensor) -> Tensor:
        return (self.log_likelihood(images) + Normal(0.0, 1.0).log_prob(GRID)).logsumexp(0) + STEP.log()

    def log_likelihood(self, images: Tensor) -> Tensor:
        """log p(x|z) for every z of the grid and every image."""
        logits = GRID * self.slopes.double() + self.shifts.double()
        return Bernoulli(logits=logits[:, None]).log_prob(images.flatten(1).double()).sum(2)

    def all_images(self) -> Tensor:
        return (
            torch.tensor([[index >> bit & 1 for bit in range(PIXELS)] for index in range(2**PIXELS)])
            .view(-1, 1, 2, 3)
            .float()
        )


def test_the_toys_probabilities_add_up_to_one():
    toy = Toy()
    assert toy.log_p(toy.all_images()).exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_the_bound_meets_the_likelihood_for_many_samples():
    toy, images = Toy(), Toy().all_images()
    bound = likelihood.iwae_bound(toy.encode, toy.decode, images, 5_000, generator(0, "test"))
    assert (bound - toy.log_p(images)).abs().max() < 0.1


def test_the_bound_rises_with_the_number_of_samples_and_stays_below():
    toy, images = Toy(), Toy().all_images()
    truth = toy.log_p(images)
    means = [
        torch.stack(
            [
                likelihood.iwae_bound(toy.encode, toy.decode, images, k, generator(seed, "test"))
                for seed in range(60)
            ]
        ).mean(0)
        for k in (1, 5, 50)
    ]
    assert means[0].mean() < means[1].mean() < means[2].mean() < truth.mean() + 0.01


def test_one_sample_is_the_evidence_lower_bound():
    toy, images = Toy(), Toy().all_images()[:8]
    mu, logvar = toy.encode(images)
    posterior = Normal(mu[:, 0].double(), (0.5 * logvar[:, 0]).exp().double())
    weights = posterior.log_prob(GRID).exp() * STEP
    expected = (weights * toy.log_likelihood(images)).sum(0) - kl_divergence(posterior, Normal(0.0, 1.0))

    repeated = images.repeat_interleave(4000, 0)
    bounds = likelihood.iwae_bound(toy.encode, toy.decode, repeated, 1, generator(0, "test")).view(8, 4000)
    error = bounds.std(1) / math.sqrt(4000)
    assert ((bounds.mean(1) - expected).abs() < 4 * error).all()


def test_a_number_of_samples_that_does_not_divide_the_chunk_counts_all(monkeypatch: pytest.MonkeyPatch):
    toy, images = Toy(), Toy().all_images()[:5]
    seen = []

    def decode(z: Tensor) -> Tensor:
        seen.append(len(z))
        return toy.decode(z)

    monkeypatch.setattr(likelihood, "ROWS", 30)
    likelihood.iwae_bound(toy.encode, decode, images, 70, generator(0, "test"))
    assert sum(seen) == 5 * 70
    assert max(seen) <= 30


def test_the_exact_posterior_makes_the_bound_exact():
    """Pixels that ignore z leave the prior as the posterior: every weight is p(x)."""
    white = torch.tensor([0.2, 0.5, 0.9, 0.7, 0.1, 0.4])
    images = Toy().all_images()
    bound = likelihood.iwae_bound(
        lambda x: (torch.zeros(len(x), 2), torch.zeros(len(x), 2)),
        lambda z: white.expand(len(z), -1).reshape(-1, 1, 2, 3),
        images,
        3,
        generator(0, "test"),
    )
    expected = Bernoulli(white).log_prob(images.flatten(1)).sum(1)
    assert bound.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_binarised_pixels_are_white_as_often_as_their_grey_says(fashion: Dataset):
    pixels = fashion.test.pixels[:1].expand(4000, -1, -1, -1)
    binary = likelihood.binarised(pixels, generator(0, "test"))
    assert set(binary.unique().tolist()) == {0.0, 1.0}
    assert (binary.mean(0) - pixels[0] / 255).abs().max() < 0.05
