"""A folder of one's own images as a data set: sub-folders are classes.

Images are fitted exactly as the service fits them (service/checkpoint/manifest.py, ImageSpec): upright,
over black where transparent, aspect ratio kept, area average when shrinking and bicubic when growing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from service.media.image_errors import ImageError
from service.media.image_files import open_image
from training.data.datasets import DataError, Dataset, Images, make_dataset
from training.runtime.randomness import generator

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What the service reads, and more: the files of a folder of one's own are trusted."""
MAX_PIXELS = 178_956_970
"""Of one image; Pillow's own limit."""
TEST_SHARE = 0.1
MIN_IMAGES = 10


def image_folder(folder: Path, size: int, channels: int | None, log: Callable[[str], None]) -> Dataset:
    """Read a folder of images; its sub-folders are classes, in alphabetical order.

    One in ten, drawn by a fixed seed within each class, becomes the test set. `log` gets a line for
    everything a person should know: files that were skipped, mixed grey and colour.

    Args:
        folder: holds images, or sub-folders of images.
        size: side of the square images in pixels.
        channels: 1 for grey, 3 for colour, None to follow the images.
        log: takes the lines.

    Raises:
        DataError: no folder, too few readable images, or images both beside and in sub-folders.
    """
    files, classes = _find(folder)
    opened = _opened(files, classes, folder)
    broken = [path for path, _, image in opened if image is None]
    if broken:
        names = ", ".join(str(path.relative_to(folder)) for path in broken[:5]) + (
            " ..." if len(broken) > 5 else ""
        )
        log(f"skipped {len(broken)} of {len(files)} files that are not readable images: {names}")
    readable = [(label, image) for _, label, image in opened if image is not None]
    channels = channels or _channels([image for _, image in readable], log)
    pixels = torch.from_numpy(np.stack([fit(image, size, channels) for _, image in readable]))
    labels = torch.tensor([label for label, _ in readable], dtype=torch.int64)
    is_test = _test_mask(labels)
    images = Images(pixels, labels)
    return make_dataset(name_of(folder), images[~is_test], images[is_test], classes)


def fit(image: Image.Image, size: int, channels: int) -> np.ndarray:
    """Return an upright image as (channels, size, size) uint8, its aspect ratio kept, centred on black."""
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        levels = np.asarray(image, np.float64)
        pixels = (levels / 257).round().clip(0, 255).astype(np.uint8)
        if "transparency" in image.info:
            pixels[levels == image.info["transparency"]] = 0
        image = Image.fromarray(pixels)
    if image.mode in ("P", "LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
        scale = size / max(image.size)
        resized = tuple(max(1, round(side * scale)) for side in image.size)
        image = image.resize(
            (resized[0], resized[1]), Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        )
        canvas = Image.new(image.mode, (size, size), 0)
        canvas.paste(image, ((size - resized[0]) // 2, (size - resized[1]) // 2))
        image = canvas
    array = np.asarray(image)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def classes_of(folder: Path) -> tuple[str, ...]:
    """Return the class names of a folder of images, none of which is read.

    Raises:
        DataError: no folder, no images, or images both beside and in sub-folders.
    """
    return _find(folder)[1]


def name_of(folder: Path) -> str:
    """Return what a folder's data set is called."""
    return folder.resolve().name.lower()


def _opened(
    files: Sequence[tuple[Path, int]], classes: tuple[str, ...], folder: Path
) -> list[tuple[Path, int, Image.Image | None]]:
    """Return every file with its decoded image; the smallest class first, as it may have too few."""
    sizes = Counter(label for _, label in files)
    images: dict[Path, Image.Image | None] = {}
    for label in sorted(sizes, key=lambda label: sizes[label]):
        members = [path for path, other in files if other == label]
        images |= {path: open_upright(path) for path in members}
        readable = sum(images[path] is not None for path in members)
        if readable < MIN_IMAGES:
            where = f"class {classes[label]!r} in {folder}" if len(classes) > 1 else str(folder)
            raise DataError(f"{where} has {readable} readable images; at least {MIN_IMAGES} are needed")
    return [(path, label, images[path]) for path, label in files]


def _find(folder: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """Return every image file with its class index, and the class names."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    here = _images(folder)
    groups = {child.name: _images(child) for child in sorted(folder.iterdir()) if child.is_dir()}
    groups = {name: found for name, found in groups.items() if found}
    if here and groups:
        raise DataError(f"{folder} holds images both beside and inside sub-folders; sub-folders are classes")
    if not here and not groups:
        raise DataError(f"{folder} holds no images ({', '.join(SUFFIXES)})")
    if here:
        groups = {folder.resolve().name: here}
    classes = tuple(groups)
    return [(path, label) for label, name in enumerate(classes) for path in groups[name]], classes


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)


def open_upright(path: Path) -> Image.Image | None:
    """Return the decoded image, upright, or None where the file is not one."""
    try:
        image = open_image(path.read_bytes(), MAX_PIXELS, FORMATS).upright()
    except (OSError, ImageError):
        return None
    return image if image.mode != "P" else image.convert("RGBA")


def _channels(images: list[Image.Image], log: Callable[[str], None]) -> int:
    grey = sum(image.mode in GREY_MODES for image in images)
    if 0 < grey < len(images):
        log(
            f"{grey} of {len(images)} images are grey, the rest colour: all are read as colour "
            "(--channels 1 reads all as grey)"
        )
    return 1 if grey == len(images) else 3


def _test_mask(labels: torch.Tensor) -> torch.Tensor:
    """Mark one in ten of each class, at least one."""
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        members = (labels == label).nonzero()[:, 0]
        order = torch.randperm(len(members), generator=generator(0, "test split", label))
        mask[members[order[: max(1, int(len(members) * TEST_SHARE))]]] = True
    return mask
