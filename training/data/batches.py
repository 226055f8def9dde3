"""Batches for the trainer: the batch of update t is a function of (data, seed, t) alone.

Of several processes each has its share of the rows.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from training.data.datasets import Dataset, to_range
from training.data.domain_pairs import DomainPair
from training.runtime.distributed import shard
from training.runtime.randomness import Shuffle


class BatchSource(Protocol):
    """An endless source of batches."""

    images: int
    """Images in one pass."""

    def batch(self, update: int) -> tuple[Tensor, Tensor]:
        """Return the two halves of a batch, on the device."""


class LabelledBatches:
    """Images in `value_range` with their class indices."""

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        seed: int,
        value_range: tuple[float, float],
        device: torch.device,
    ) -> None:
        self.images = len(dataset.train)
        self._dataset, self._size, self._range, self._device = dataset, batch_size, value_range, device
        self._order = Shuffle(self.images, seed, "order")

    def batch(self, update: int) -> tuple[Tensor, Tensor]:
        """Return images (N, C, size, size) and labels (N,)."""
        batch = self._dataset.train[shard(self._order.take(update * self._size, self._size))]
        return to_range(batch.pixels.to(self._device), self._range), batch.labels.to(self._device)


class DomainBatches:
    """Images of domain a and images of domain b, each in its own order, or in one where they are paired."""

    def __init__(
        self,
        pair: DomainPair,
        batch_size: int,
        seed: int,
        value_range: tuple[float, float],
        device: torch.device,
    ) -> None:
        self.images = max(len(domain) for domain in pair.train)
        self._pair, self._size, self._range, self._device = pair, batch_size, value_range, device
        sides = "bb" if pair.train_paired else "ab"
        self._orders = [
            Shuffle(len(domain), seed, f"order {side}")
            for side, domain in zip(sides, pair.train, strict=True)
        ]

    def batch(self, update: int) -> tuple[Tensor, Tensor]:
        """Return one batch of either domain, (N, C, size, size)."""
        a, b = (
            to_range(domain[shard(order.take(update * self._size, self._size))].to(self._device), self._range)
            for domain, order in zip(self._pair.train, self._orders, strict=True)
        )
        return a, b
