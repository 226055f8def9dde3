"""Pairs of image domains for translation: two classes of a data set, edges and photos, or two folders."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.datasets import DataError, Dataset, Images

WORDS = {
    "bags": "Bag",
    "boots": "Ankle boot",
    "sneakers": "Sneaker",
    "sandals": "Sandal",
    "trousers": "Trouser",
}
"""Plural domain names for classes of Fashion-MNIST."""
EDGES_PHOTOS = ("edges", "photos")
"""The domains that are true pairs: a photo, and its edges."""


@dataclass(frozen=True)
class DomainPair:
    """Images of two domains, a and b, each (N, C, size, size) uint8."""

    domains: tuple[str, str]
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    paired: bool
    """Whether test image i of a and test image i of b are the same thing."""
    dataset: Dataset
    """Where the images come from; a judge is trained on its classes."""
    labels: tuple[int, int] | None
    """The two domains as classes of `dataset`, or None where they are not classes."""
    train_paired: bool = False
    """Whether training image i of a and training image i of b are the same thing too."""

    def matched(self) -> DomainPair:
        """Return this with paired training images: those of b, and what they are in a.

        Raises:
            DataError: no such pairs are known.
        """
        check_paired(self.domains, self.labels)
        photos = self.train[1]
        return replace(self, train=(sobel(photos), photos), train_paired=True)


def dataset_of(data: Dataset | DomainPair) -> Dataset:
    """Return the data set that images or domains come from."""
    return data.dataset if isinstance(data, DomainPair) else data


def domain_pair(dataset: Dataset, pair: str | None) -> DomainPair:
    """Return the two domains of a data set that `pair` names, as `domains_of` reads it.

    Raises:
        DataError: the pair is missing or not in this data set.
    """
    names, labels = domains_of(dataset.name, dataset.classes, pair)
    if labels is None:
        return _edges_photos(dataset)
    first, second = labels
    return DomainPair(
        domains=names,
        train=(_members(dataset.train, first), _members(dataset.train, second)),
        test=(_members(dataset.test, first), _members(dataset.test, second)),
        paired=False,
        dataset=dataset,
        labels=labels,
    )


def domains_of(
    dataset: str, classes: tuple[str, ...], pair: str | None
) -> tuple[tuple[str, str], tuple[int, int] | None]:
    """Return the names of two domains and the classes that they are, None for edges and photos.

    Args:
        dataset: name of the data set.
        classes: its class names.
        pair: `edges-photos`, or two classes such as `bags-boots` or `Bag-Ankle boot`; None for a data
            set that has exactly two classes.

    Raises:
        DataError: the pair is missing or not in this data set.
    """
    if pair == "-".join(EDGES_PHOTOS):
        return EDGES_PHOTOS, None
    if pair is None:
        if len(classes) != 2:
            raise DataError(
                f"a translation needs two domains and {dataset} has {len(classes)} classes: "
                "give --pair edges-photos or two of its classes, such as --pair bags-boots, "
                "or a folder with two sub-folders"
            )
        names: tuple[str, ...] = classes
    else:
        names = tuple(pair.split("-", 1)) if pair.count("-") == 1 else _split(pair, classes)
        if len(names) != 2:
            raise DataError(f"--pair {pair!r} is not two domains joined by a hyphen")
    first, second = (_class_index(dataset, classes, name) for name in names)
    if first == second:
        raise DataError(f"--pair names {classes[first]!r} twice")
    return (names[0], names[1]), (first, second)


def check_paired(names: tuple[str, str], labels: tuple[int, int] | None) -> None:
    """Refuse domains whose images are not known to be the same thing in pairs.

    Raises:
        DataError: they are classes.
    """
    if labels is not None:
        raise DataError(f"no true pairs are known of {' and '.join(names)}: give --pair edges-photos")


def sobel(pixels: Tensor) -> Tensor:
    """Return the Sobel gradient magnitude, uint8 in and out, same shape.

    Each axis is divided by 4, so a full step from 0 to 255 gives 255; borders repeat the outermost pixel.
    """
    x = pixels.float()
    channels = x.shape[1]
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    horizontal = F.conv2d(padded, kernel.expand(channels, 1, 3, 3), groups=channels)
    vertical = F.conv2d(padded, kernel.T.expand(channels, 1, 3, 3), groups=channels)
    return (horizontal.square() + vertical.square()).sqrt().round().clamp(0, 255).to(torch.uint8)


def _edges_photos(dataset: Dataset) -> DomainPair:
    """Edges of the even training images and the odd images as they are: no image is in both halves."""
    return DomainPair(
        domains=EDGES_PHOTOS,
        train=(sobel(dataset.train.pixels[0::2]), dataset.train.pixels[1::2]),
        test=(sobel(dataset.test.pixels), dataset.test.pixels),
        paired=True,
        dataset=dataset,
        labels=None,
    )


def _class_index(dataset: str, classes: tuple[str, ...], name: str) -> int:
    known = {label.lower(): index for index, label in enumerate(classes)}
    for candidate in (name, WORDS.get(name.lower(), name)):
        if candidate.lower() in known:
            return known[candidate.lower()]
    words = [word for word, label in WORDS.items() if label in classes]
    raise DataError(f"{dataset} has no class {name!r}; it has {', '.join([*classes, *words])}")


def _split(pair: str, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Split at the hyphen whose left side is a class name (class names may hold hyphens)."""
    for name in classes:
        if pair.lower().startswith(f"{name.lower()}-"):
            return pair[: len(name)], pair[len(name) + 1 :]
    return (pair,)


def _members(images: Images, label: int) -> Tensor:
    return images.pixels[images.labels == label]
