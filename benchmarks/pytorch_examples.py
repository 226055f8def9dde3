"""The VAE of github.com/pytorch/examples, from its description: two perceptrons and Adam."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.budget import BATCH, Budget, Settings, Spent, Trained
from benchmarks.networks import Perceptrons, perceptrons_loss
from training.data.datasets import Dataset


def images(settings: Settings, dataset: Dataset) -> Trained:
    """Train on grey images, as the example does."""
    return _trained(settings, dataset, binarised=False)


def likelihood(settings: Settings, dataset: Dataset) -> Trained:
    """Train on images binarised anew every time."""
    return _trained(settings, dataset, binarised=True)


def _trained(settings: Settings, dataset: Dataset, binarised: bool) -> Trained:
    network = Perceptrons(settings.latent_dim)
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    grey = dataset.train.unit()
    budget = Budget(settings.seconds)
    with contextlib.suppress(Spent):
        for rows in _endless_batches(len(grey)):
            x = grey[rows]
            x = (torch.rand_like(x) < x).float() if binarised else x
            loss = perceptrons_loss(network, x, continuous=not binarised)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            budget.spend()
    used_s = budget.used_s
    network.eval().requires_grad_(False)

    def from_normal(count: int, seed: int) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        return network.decode(torch.randn((count, settings.latent_dim), generator=random))

    description = (
        f"pytorch/examples: VAE, perceptrons 784-400-{settings.latent_dim}-400-784, "
        f"Adam {settings.learning_rate:g}, batch {BATCH}"
    )
    return Trained(
        network,
        lambda x: network.encode(x)[0],
        network.decode,
        {"N(0, I)": from_normal},
        description,
        budget,
        used_s,
    )


def _endless_batches(count: int) -> Iterator[Tensor]:
    while True:
        yield from torch.randperm(count).split(BATCH)
