"""The independent judge: a classifier of the real training images, frozen before it sees anything generated.

It is used in no loss, no early stop and no choice of a checkpoint. Its weights are kept under `runs/judges/`
(see cache.py), so that every metric comes from the same judge.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.datasets import Dataset
from training.evaluation.cache import Weights, cached_weights, data_key, data_path, versions
from training.networks.classifier import Classifier
from training.runtime.randomness import Shuffle, generator

SEED = 2
MAX_UPDATES = 2800
MAX_PASSES = 30
"""A small data set is seen this often at most; the larger ones reach `MAX_UPDATES` first."""
BATCH = 128
PEAK_RATE = 3e-3
SHIFT = 2
"""Pixels by which training images are moved at most, for every 28 pixels of size."""


@dataclass(frozen=True)
class Judge:
    """A frozen classifier and how well it does on real test images."""

    network: nn.Module
    real_accuracy: float
    real_accuracy_by_class: tuple[float, ...]
    sha256: str
    """Of its weights."""

    def predict(self, images: Tensor) -> Tensor:
        """Return the class indices (N,) of images (N, C, size, size) in [0, 1]."""
        with torch.no_grad():
            return torch.cat([self.network(chunk).argmax(1) for chunk in images.split(500)])


def judge_of(dataset: Dataset, console: Console) -> Judge:
    """Return the judge of this data set, training it the first time it is asked for."""
    path = data_path(dataset, "judge.safetensors")

    def train() -> Weights:
        console.print(f"training the judge of {dataset.name} once, kept in {path}", highlight=False)
        return trained_judge(dataset, console).network.state_dict()

    network = Classifier(dataset.channels, len(dataset.classes))
    network.load_state_dict(load_file(cached_weights(path, versions("judge") | data_key(dataset), train)))
    return _measured(network, dataset)


def trained_judge(dataset: Dataset, console: Console) -> Judge:
    """Return a judge of these training images, measured on the test images."""
    images = dataset.train
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        network = Classifier(dataset.channels, len(dataset.classes))
        updates = min(MAX_UPDATES, -(-MAX_PASSES * len(images) // BATCH))
        order = Shuffle(len(images), SEED, "judge order")
        optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=updates)
        network.train()
        for update in range(updates):
            batch = images[order.take(update * BATCH, BATCH)]
            inputs = _augment(batch.unit(), update)
            loss = F.cross_entropy(network(inputs), batch.labels, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if update % 400 == 399:
                console.print(
                    f"judge: update {update + 1}/{updates}  loss {loss.item():.3f}", highlight=False
                )
    return _measured(network, dataset)


def _augment(images: Tensor, update: int) -> Tensor:
    """Mirror half of the images and move each batch by a few pixels."""
    random = generator(SEED, "judge augmentation", update)
    mirrored = torch.rand(len(images), generator=random) < 0.5
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    reach = SHIFT * images.shape[-1] // 28
    down, right = torch.randint(-reach, reach + 1, (2,), generator=random).tolist()
    return images.roll((down, right), dims=(2, 3))


def _measured(network: nn.Module, dataset: Dataset) -> Judge:
    network.eval().requires_grad_(False)
    weights = b"".join(value.numpy().tobytes() for value in network.state_dict().values())
    judge = Judge(network, 0.0, (), hashlib.sha256(weights).hexdigest())
    hits = judge.predict(dataset.test.unit()) == dataset.test.labels
    by_class = tuple(
        hits[dataset.test.labels == label].double().mean().item() for label in range(len(dataset.classes))
    )
    return Judge(network, hits.double().mean().item(), by_class, judge.sha256)
