"""Fashion-MNIST where a peer's code asks for torchvision's MNIST, and a loader that ends its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL import Image
from torch.utils import data

from benchmarks.budget import Budget
from training.data.datasets import Dataset


class StandIn(data.Dataset[tuple[Any, int]]):
    """The training images with their classes, one by one, as the peer transforms them."""

    def __init__(self, dataset: Dataset, transform: Any) -> None:
        self.pixels, self.labels = dataset.train.pixels[:, 0].numpy(), dataset.train.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        """Return the number of training images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return an image and its class."""
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


class BudgetLoader(data.DataLoader[Any]):
    """A loader of batches that raises `Spent` once the time of `budget` is used up."""

    budget: Budget

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override] - a generator will do
        """Yield the batches of one pass."""
        for batch in super().__iter__():
            yield batch
            self.budget.spend()
