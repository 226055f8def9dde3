"""Data sets by name: Fashion-MNIST, MNIST, scikit-learn's digits, or a folder of one's own.

Everything is held as uint8 (N, C, size, size) in memory and indexed by a permutation; there are no
loader workers to wait for.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
DIGIT_CLASSES = tuple("0123456789")
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
DOWNLOADS = Path("runs/data")
HAD_ELSEWHERE = {
    "FashionMNIST": "apt-get install dataset-fashion-mnist, or name its folder in FASHION_MNIST",
    "MNIST": "give its folder with --path",
}
"""What to do where torchvision cannot download a data set."""
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class DataError(Exception):
    """Data that cannot be used; the message says what is wrong and what would do."""


@dataclass(frozen=True)
class Images:
    """Images with their class indices."""

    pixels: Tensor
    """(N, C, size, size) uint8."""
    labels: Tensor
    """(N,) int64."""

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Tensor | slice) -> Images:
        return Images(self.pixels[index], self.labels[index])

    def unit(self) -> Tensor:
        """Return the images in [0, 1], float32: made anew, since they take four times the memory."""
        return to_range(self.pixels, (0.0, 1.0))


@dataclass(frozen=True)
class Dataset:
    """Training and test images of one kind."""

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    sha256: str
    """Over all pixels and labels, so a changed file is noticed."""

    @property
    def channels(self) -> int:
        """Return 1 for grey, 3 for colour."""
        return int(self.train.pixels.shape[1])

    @property
    def size(self) -> int:
        """Return the side of the square images in pixels."""
        return int(self.train.pixels.shape[2])

    def hold_out(self, count: int) -> Dataset:
        """Return this set with `count` training images in the test set's place, every class in proportion."""
        if not count:
            return self
        total = len(self.train)
        if count >= total:
            raise DataError(f"--holdout {count} leaves no training images: there are {total}")
        steps = torch.arange(total + 1) * count // total
        held = torch.zeros(total, dtype=torch.bool)
        held[self.train.labels.argsort(stable=True)] = steps.diff() > 0
        return Dataset(self.name, self.train[~held], self.train[held], self.classes, self.sha256)


def to_range(pixels: Tensor, value_range: tuple[float, float]) -> Tensor:
    """Map uint8 pixels linearly onto `value_range`, float32."""
    low, high = value_range
    return pixels.float().mul_((high - low) / 255).add_(low)


def to_unit(images: Tensor, value_range: tuple[float, float]) -> Tensor:
    """Map images in `value_range` onto [0, 1], clipped."""
    low, high = value_range
    return ((images - low) / (high - low)).clamp(0, 1)


def make_dataset(name: str, train: Images, test: Images, classes: tuple[str, ...]) -> Dataset:
    """Return the data set with its hash."""
    digest = hashlib.sha256()
    for part in (train.pixels, train.labels, test.pixels, test.labels):
        digest.update(part.contiguous().numpy().tobytes())
    return Dataset(name, train, test, classes, digest.hexdigest())


def fashion_mnist(path: Path | None = None) -> Dataset:
    """Load Fashion-MNIST from `path` or the folder that the environment variable FASHION_MNIST names.

    Where neither is given, it is the Debian package's, or else torchvision's download.

    Raises:
        DataError: it is not there.
    """
    named = path or os.environ.get("FASHION_MNIST")
    folder = Path(named or DEBIAN_FASHION_MNIST)
    if not _has_idx(folder):
        if named:
            raise DataError(
                f"{folder} lacks Fashion-MNIST's four files ({', '.join(IDX_FILES)}, or the same with .gz)"
            )
        folder = _download("FashionMNIST")
    return _from_idx("fashion-mnist", folder, FASHION_CLASSES)


def mnist(path: Path | None = None) -> Dataset:
    """Load MNIST from `path` or torchvision's download."""
    if path is not None and not _has_idx(path):
        raise DataError(f"{path} lacks MNIST's four files ({', '.join(IDX_FILES)}, or the same with .gz)")
    return _from_idx("mnist", path or _download("MNIST"), DIGIT_CLASSES)


def digits(path: Path | None = None) -> Dataset:
    """Load scikit-learn's 1,797 handwritten digits, 8x8 enlarged to 28x28; every fifth is a test image."""
    from sklearn.datasets import load_digits

    if path is not None:
        raise DataError("--data digits comes with scikit-learn and takes no --path")
    bunch = load_digits()
    small = torch.from_numpy(bunch.images.astype(np.float32) * (255 / 16))[:, None]
    large = F.interpolate(small, size=(28, 28), mode="bicubic", align_corners=False)
    images = Images(
        large.round().clamp(0, 255).to(torch.uint8), torch.from_numpy(bunch.target.astype(np.int64))
    )
    is_test = torch.arange(len(images)) % 5 == 4
    return make_dataset("digits", images[~is_test], images[is_test], DIGIT_CLASSES)


def _has_idx(folder: Path) -> bool:
    return all((folder / name).is_file() or (folder / f"{name}.gz").is_file() for name in IDX_FILES)


def _from_idx(name: str, folder: Path, classes: tuple[str, ...]) -> Dataset:
    arrays = [read_idx(folder / file) for file in IDX_FILES]
    train, test = (
        Images(torch.from_numpy(pixels)[:, None], torch.from_numpy(labels.astype(np.int64)))
        for pixels, labels in (arrays[:2], arrays[2:])
    )
    return make_dataset(name, train, test, classes)


def read_idx(path: Path) -> np.ndarray:
    """Read one IDX file, plain or with .gz added to its name.

    Raises:
        DataError: it is damaged.
    """
    try:
        raw = (
            path.read_bytes()
            if path.is_file()
            else gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())
        )
        axes = raw[3]
        shape = np.frombuffer(raw, ">u4", count=axes, offset=4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
    except (OSError, EOFError, ValueError, IndexError):
        raise DataError(f"{path.name} in {path.parent} is damaged or not an IDX file") from None


def _download(kind: str) -> Path:
    from torchvision import datasets

    try:
        getattr(datasets, kind)(DOWNLOADS, download=True)
    except Exception as error:  # noqa: BLE001 - torchvision raises whatever its mirrors and the network do
        raise DataError(
            f"{kind} could not be downloaded ({type(error).__name__}). "
            f"Without internet: {HAD_ELSEWHERE[kind]}"
        ) from None
    return DOWNLOADS / kind / "raw"


@dataclass(frozen=True)
class NamedDataset:
    """A data set that is known by its name."""

    classes: tuple[str, ...]
    load: Callable[[Path | None], Dataset]


DATASETS: dict[str, NamedDataset] = {
    "fashion-mnist": NamedDataset(FASHION_CLASSES, fashion_mnist),
    "mnist": NamedDataset(DIGIT_CLASSES, mnist),
    "digits": NamedDataset(DIGIT_CLASSES, digits),
}
