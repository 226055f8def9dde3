"""The feature space F1, where generated images are compared with real ones: a frozen classifier's last layer.

For Fashion-MNIST its weights are part of the package, so that every metric comes from the same features;
`python -m training.evaluation.features` makes them again. For other data it is trained the first time it is
asked for and kept under `runs/judges/` (see cache.py). Like the judge it is used in no loss, no early stop
and no choice of a checkpoint, and it shares neither architecture nor seed with the judge, which speaks about
labels.
"""

from __future__ import annotations

import copy
import hashlib
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from training.data.datasets import Dataset, fashion_mnist
from training.evaluation.cache import Weights, cached_weights, data_key, data_path, versions
from training.networks.classifier import ResidualClassifier
from training.networks.moving_average import follow
from training.runtime.chunks import batched
from training.runtime.devices import fastest
from training.runtime.randomness import Shuffle, generator

SHIPPED = Path(__file__).parent / "weights" / "fashion-mnist-features.safetensors"
SEED = 1
SIZE = 28
"""Larger images are reduced to this side in pixels."""
PASSES = 27
"""Over the training images; of Fashion-MNIST they take fifty minutes on one core."""
WIDTH = 48
"""Channels after the first layer of the shipped network."""
OTHER_WIDTH = 32
"""The same for other data sets, where nobody wants to wait for it."""
MAX_UPDATES = 2000
"""For other data sets: a few minutes."""
HELD_OUT = 5000
"""Images of Fashion-MNIST's training set that judge the features before the test set does."""
BATCH = 128
WEIGHT_DECAY = 5e-4
SMOOTHING = 0.05
AVERAGE_DECAY = 0.998
SHIFT = 2
"""Pixels by which a training image is moved at most."""
ERASED_SIDES = (4, 12)
"""Sides of the rectangle of noise put over a training image, in pixels."""


@dataclass(frozen=True)
class Stage:
    """A part of the training, with a learning rate that rises and falls once."""

    share: float
    """Of all updates."""
    peak_rate: float
    erased: float
    """Share of the training images that lose a rectangle."""


STAGES = (Stage(2 / 3, 0.1, 0.5), Stage(1 / 3, 0.05, 0.0))


@dataclass(frozen=True)
class Features:
    """A frozen classifier, seen as a map from images to features."""

    network: ResidualClassifier
    sha256: str
    """Of its weights."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return the features (N, 4 * width) of images (N, C, size, size) in [0, 1]."""
        return batched(lambda chunk: self.network.features(reduced(chunk)), images)

    def classes(self, features: Tensor) -> Tensor:
        """Return the classes (N,) that the classifier gives images with these features."""
        return batched(self.network.head, features).argmax(1)

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Return the share of images in [0, 1] that are classified as labelled."""
        return (self.classes(self(images)) == labels).double().mean().item()


def features_of(dataset: Dataset, console: Console) -> Features:
    """Return the features for this data set, training them the first time they are asked for."""
    if dataset.name == "fashion-mnist":
        return load(SHIPPED, dataset)
    updates = min(MAX_UPDATES, -(-PASSES * len(dataset.train) // BATCH))
    return load(train(dataset, OTHER_WIDTH, updates, console), dataset)


def load(path: Path, dataset: Dataset) -> Features:
    """Return the features stored in a file for the kind of images in `dataset`."""
    with safe_open(path, "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    network = ResidualClassifier(dataset.channels, len(dataset.classes), len(weights["stem.weight"]))
    network.load_state_dict(weights)
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return Features(network, hashlib.sha256(path.read_bytes()).hexdigest())


def reduced(images: Tensor) -> Tensor:
    """Return images at the side the features are made for."""
    if images.shape[-1] == SIZE:
        return images
    return F.interpolate(images, size=(SIZE, SIZE), mode="bilinear", antialias=True).clamp(0, 1)


def train(dataset: Dataset, width: int, updates: int, console: Console) -> Path:
    """Return the file of a classifier trained on the training images, each stage of it once."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        network = ResidualClassifier(dataset.channels, len(dataset.classes), width)
    key = versions("features") | data_key(dataset) | {"width": width, "updates": updates}
    first = 0
    for number, stage in enumerate(STAGES, 1):
        last = first + max(1, round(stage.share * updates))
        path = data_path(dataset, f"features-{number}.safetensors")
        weights = partial(halves, network, dataset, stage, range(first, last), console)
        network = load(cached_weights(path, key, weights), dataset).network
        first = last
    return path


def halves(
    network: ResidualClassifier, dataset: Dataset, stage: Stage, updates: range, console: Console
) -> Weights:
    """Train `network` for one more stage and return its weights in half precision."""
    console.print(f"features of {dataset.name}: {len(updates)} updates, once", highlight=False)
    average = trained(network.train().requires_grad_(True), dataset, stage, updates, console)
    return {
        name: value.half() if value.is_floating_point() else value
        for name, value in average.state_dict().items()
    }


def trained(
    network: ResidualClassifier, dataset: Dataset, stage: Stage, updates: range, console: Console
) -> ResidualClassifier:
    """Train `network` and return the average of its weights over the last updates."""
    images = dataset.train
    network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.SGD(
        network.parameters(), stage.peak_rate, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, stage.peak_rate, total_steps=max(len(updates), 10), cycle_momentum=False
    )
    order = Shuffle(len(images), SEED, "features order")
    for count, update in enumerate(updates, 1):
        batch = images[order.take(update * BATCH, BATCH)]
        inputs = augment(reduced(batch.unit()), stage.erased, update)
        with torch.autocast("cpu", torch.bfloat16, enabled=fastest("cpu") == "bfloat16"):
            logits = network(inputs)
        loss = F.cross_entropy(logits.float(), batch.labels, label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        follow(average, network, min(AVERAGE_DECAY, count / (count + 9)))
        if update % 400 == 399:
            console.print(f"features: update {update + 1}  loss {loss.item():.3f}", highlight=False)
    return average


def augment(images: Tensor, erased: float, update: int) -> Tensor:
    """Mirror half of the images, move each by a few pixels, and put noise over a rectangle of some.

    Returns (N, C, size, size) with the channels last in memory, as they come out of the indexing.
    """
    random = generator(SEED, "features augmentation", update)
    count, size = len(images), images.shape[-1]

    def whole(low: int, high: int) -> Tensor:
        return torch.randint(low, high, (count, 1), generator=random)

    mirrored = torch.rand(count, generator=random) < 0.5
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    line = torch.arange(size)
    padded = F.pad(images, (SHIFT,) * 4)
    rows, columns = line + whole(0, 2 * SHIFT + 1), line + whole(0, 2 * SHIFT + 1)
    moved = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    low, high = ERASED_SIDES
    top, left = whole(-low, size), whole(-low, size)
    height, width = whole(low, high + 1), whole(low, high + 1)
    inside = ((line >= top) & (line < top + height))[:, :, None]
    inside = inside & ((line >= left) & (line < left + width))[:, None, :]
    inside = inside & (torch.rand(count, generator=random) < erased)[:, None, None]
    noise = torch.rand(moved.shape, generator=random)
    return torch.where(inside[..., None], noise, moved).permute(0, 3, 1, 2)


def main() -> None:
    """Train the shipped features on all but some training images; judge them on those and on the test."""
    console = Console(stderr=True, soft_wrap=True)
    dataset = fashion_mnist()
    chosen = dataset.hold_out(HELD_OUT)
    started = time.process_time()
    save_file(load_file(train(chosen, WIDTH, PASSES * len(chosen.train) // BATCH, console)), SHIPPED)
    features = load(SHIPPED, dataset)
    for name, part in (("held-out", chosen.test), ("test", dataset.test)):
        accuracy = features.accuracy(part.unit(), part.labels)
        console.print(f"accuracy on the {len(part):,} {name} images: {accuracy:.4f}", highlight=False)
    console.print(f"{time.process_time() - started:.0f} s of processor time, sha256 {features.sha256}")


if __name__ == "__main__":
    main()
