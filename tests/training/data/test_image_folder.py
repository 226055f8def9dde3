from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.image_files import exif_directory
from training.data.datasets import DataError, Dataset
from training.data.image_folder import image_folder, open_upright


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def images(fashion: Dataset, tmp_path: Path) -> Path:
    """Twenty grey images in each of two classes."""
    for name, label in (("bags", 8), ("boots", 9)):
        chosen = fashion.train.pixels[fashion.train.labels == label][:20, 0].numpy()
        for index, pixels in enumerate(chosen):
            save(pixels, tmp_path / "images" / name / f"{index:02d}.png")
    return tmp_path / "images"


def read(folder: Path, size: int = 28, channels: int | None = None) -> tuple[Dataset, list[str]]:
    log: list[str] = []
    return image_folder(folder, size, channels, log.append), log


def test_sub_folders_are_classes_and_a_tenth_of_each_is_for_testing(images: Path):
    data, log = read(images)
    assert data.classes == ("bags", "boots")
    assert (len(data.train), len(data.test)) == (36, 4)
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert data.channels == 1
    assert log == []


def test_images_of_the_right_size_are_left_as_they_are(images: Path, fashion: Dataset):
    data, _ = read(images)
    original = fashion.train.pixels[fashion.train.labels == 8][:20].numpy()
    kept = {image.tobytes() for image in data.train.pixels[data.train.labels == 0].numpy()}
    assert len(kept) == 18
    assert kept <= {image.tobytes() for image in original}


def test_an_image_keeps_its_proportions(tmp_path: Path):
    for index in range(10):
        save(np.full((40, 80, 3), 255, np.uint8), tmp_path / f"{index}.png")
    data, _ = read(tmp_path, size=32)
    lit = data.train.pixels[0, 0] == 255
    assert (lit.any(1).sum().item(), lit.any(0).sum().item()) == (16, 32)


def test_one_broken_file_is_skipped_and_named(images: Path):
    (images / "bags" / "07.png").write_bytes(b"not an image")
    data, log = read(images)
    assert len(data.train) + len(data.test) == 39
    assert log == ["skipped 1 of 40 files that are not readable images: bags/07.png"]


def test_a_truncated_file_is_skipped(images: Path):
    whole = (images / "bags" / "03.png").read_bytes()
    (images / "bags" / "03.png").write_bytes(whole[: len(whole) // 2])
    _, log = read(images)
    assert "bags/03.png" in log[0]


def test_mixed_grey_and_colour_is_read_as_colour_and_said(images: Path):
    save(np.zeros((28, 28, 3), np.uint8), images / "bags" / "00.png")
    data, log = read(images)
    assert data.channels == 3
    assert log[0].startswith("39 of 40 images are grey, the rest colour: all are read as colour")
    assert read(images, channels=1)[0].channels == 1


def test_transparent_images_lie_on_black(tmp_path: Path):
    for index in range(10):
        save(
            np.dstack([np.full((28, 28, 3), 200, np.uint8), np.zeros((28, 28), np.uint8)]),
            tmp_path / f"{index}.png",
        )
    assert read(tmp_path)[0].train.pixels.max() == 0


def test_sixteen_bits_are_scaled_not_cut(tmp_path: Path):
    ramp = np.linspace(0, 65535, 28 * 28).reshape(28, 28).astype(np.uint16)
    for index in range(10):
        save(ramp, tmp_path / f"{index}.png")
    assert len(read(tmp_path, channels=1)[0].train.pixels[0].unique()) >= 250


def test_an_empty_folder_says_so(tmp_path: Path):
    with pytest.raises(DataError, match="holds no images"):
        read(tmp_path)


def test_a_missing_folder_says_so(tmp_path: Path):
    with pytest.raises(DataError, match="is not a folder"):
        read(tmp_path / "nowhere")


def test_images_beside_sub_folders_are_refused(images: Path):
    save(np.zeros((28, 28), np.uint8), images / "stray.png")
    with pytest.raises(DataError, match="both beside and inside"):
        read(images)


def test_too_few_images_in_a_class_are_named(images: Path):
    for path in sorted((images / "boots").iterdir())[5:]:
        path.unlink()
    with pytest.raises(DataError, match=r"'boots'.* has 5 readable images; at least 10"):
        read(images)


def test_a_photograph_is_turned_whatever_else_its_exif_says(tmp_path: Path):
    for index in range(10):
        save(np.full((40, 80, 3), 255, np.uint8), tmp_path / f"{index}.png")
    odd = exif_directory([(0x0112, 3, 1, b"\6\0"), (0x0100, 2, 4, b"640\0")])
    Image.new("RGB", (80, 40), "white").save(tmp_path / "5.jpg", exif=b"Exif\0\0" + odd)
    image = open_upright(tmp_path / "5.jpg")
    assert image is not None
    assert image.size == (40, 80)
    data, said = read(tmp_path, size=32)
    assert said == []
    assert len(data.train) + len(data.test) == 11


def test_half_a_photograph_that_ends_as_a_whole_one_is_skipped(tmp_path: Path):
    for index in range(10):
        save(np.full((40, 80, 3), 255, np.uint8), tmp_path / f"{index}.png")
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.jpg")
    raw = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(raw[: len(raw) // 2] + b"\xff\xd9")
    _, said = read(tmp_path)
    assert said == ["skipped 1 of 11 files that are not readable images: cut.jpg"]


@pytest.mark.parametrize("kind", ["BMP", "GIF", "TIFF"])
def test_other_formats_are_read_from_a_folder(tmp_path: Path, kind: str):
    Image.new("RGB", (20, 10), "white").save(tmp_path / "a", kind)
    image = open_upright(tmp_path / "a")
    assert image is not None
    assert image.size == (20, 10)
