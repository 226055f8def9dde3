import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from support.fashion_subset import FASHION
from training.data.datasets import DataError, Dataset, digits, fashion_mnist, mnist, to_range, to_unit


def test_fashion_mnist_is_read_as_it_is_published(fashion: Dataset):
    assert fashion.train.pixels.shape == (512, 1, 28, 28)
    assert fashion.train.pixels.dtype == torch.uint8
    # The published set begins with an ankle boot, two T-shirts, a dress; its test set with an ankle boot.
    assert [fashion.classes[label] for label in fashion.train.labels[:3]] == [
        "Ankle boot",
        "T-shirt/top",
        "T-shirt/top",
    ]
    assert fashion.classes[int(fashion.test.labels[0])] == "Ankle boot"


def test_the_hash_follows_the_content(fashion: Dataset, tmp_path: Path):
    assert fashion_mnist(FASHION).sha256 == fashion.sha256
    shutil.copytree(FASHION, tmp_path / "changed")
    labels = tmp_path / "changed" / "train-labels-idx1-ubyte.gz"
    labels.unlink()
    shutil.copy(FASHION / "t10k-labels-idx1-ubyte.gz", labels)
    assert fashion_mnist(tmp_path / "changed").sha256 != fashion.sha256


def test_a_folder_without_the_four_files_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="lacks MNIST's four files"):
        mnist(tmp_path)


def test_the_environment_names_a_folder_where_no_option_does(
    fashion: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_MNIST", str(FASHION))
    assert fashion_mnist().sha256 == fashion.sha256
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path))
    assert fashion_mnist(FASHION).sha256 == fashion.sha256
    with pytest.raises(DataError, match="lacks Fashion-MNIST's four files"):
        fashion_mnist()


def test_a_cut_file_is_named(tmp_path: Path):
    shutil.copytree(FASHION, tmp_path / "cut")
    images = tmp_path / "cut" / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.* is damaged"):
        fashion_mnist(tmp_path / "cut")


def test_digits_keep_every_image_and_class():
    data = digits()
    assert len(data.train) + len(data.test) == 1797
    assert data.size == 28
    assert data.test.labels.unique().tolist() == list(range(10))


def test_held_out_images_leave_the_training_set(fashion: Dataset):
    tuned = fashion.hold_out(100)
    assert len(tuned.train) == 412
    assert len(tuned.test) == 100
    pieces = {image.numpy().tobytes() for image in [*tuned.train.pixels, *tuned.test.pixels]}
    assert pieces == {image.numpy().tobytes() for image in fashion.train.pixels}
    with pytest.raises(DataError, match="leaves no training images"):
        fashion.hold_out(512)


def test_held_out_images_have_every_class_in_proportion_also_where_classes_come_one_after_the_other(
    fashion: Dataset,
):
    train = fashion.train[fashion.train.labels.argsort()]
    tuned = replace(fashion, train=train).hold_out(100)
    expected = train.labels.bincount() * 100 / len(train)
    assert (tuned.test.labels.bincount() - expected).abs().max() < 1


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_ranges_map_back(value_range: tuple[float, float]):
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    there = to_range(pixels, value_range)
    assert (there.min().item(), there.max().item()) == pytest.approx(value_range)
    assert torch.equal((to_unit(there, value_range) * 255).round().to(torch.uint8), pixels)
