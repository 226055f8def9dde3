import numpy as np
import pytest
import torch
from scipy import ndimage

from training.data.batches import DomainBatches
from training.data.datasets import DataError, Dataset
from training.data.domain_pairs import domain_pair, sobel


def test_sobel_equals_scipys(fashion: Dataset):
    pixels = fashion.train.pixels[:20]
    for ours, image in zip(sobel(pixels)[:, 0].numpy(), pixels[:, 0].numpy().astype(float), strict=True):
        gradient = np.hypot(*(ndimage.sobel(image, axis=axis, mode="nearest") for axis in (0, 1))) / 4
        assert np.abs(ours - gradient.round().clip(0, 255)).max() <= 1


def test_no_training_image_is_on_both_sides_of_edges_photos(fashion: Dataset):
    pair = domain_pair(fashion, "edges-photos")
    edges_of_photos = {image.numpy().tobytes() for image in sobel(pair.train[1])}
    shared = [image for image in pair.train[0] if image.numpy().tobytes() in edges_of_photos]
    assert len(pair.train[0]) == len(pair.train[1]) == 256
    assert not shared


def test_test_images_of_edges_photos_are_true_pairs(fashion: Dataset):
    pair = domain_pair(fashion, "edges-photos")
    assert pair.paired
    assert torch.equal(pair.test[0], sobel(pair.test[1]))


def test_matched_halves_come_in_pairs_and_are_those_of_photos(fashion: Dataset):
    pair = domain_pair(fashion, "edges-photos")
    batches = DomainBatches(pair.matched(), 32, 0, (0.0, 1.0), torch.device("cpu"))
    for update in (0, 20):  # in the first pass and beyond it
        edges, photos = ((images * 255).round().to(torch.uint8) for images in batches.batch(update))
        assert torch.equal(edges, sobel(photos))
    assert torch.equal(pair.matched().train[1], pair.train[1])
    apart = DomainBatches(pair, 32, 0, (0.0, 1.0), torch.device("cpu")).batch(0)
    assert not torch.equal((apart[0] * 255).to(torch.uint8), sobel((apart[1] * 255).to(torch.uint8)))


def test_pairs_of_classes_are_not_known(fashion: Dataset):
    with pytest.raises(DataError, match="no true pairs are known of bags and boots"):
        domain_pair(fashion, "bags-boots").matched()


def test_bags_and_boots_are_classes(fashion: Dataset):
    pair = domain_pair(fashion, "bags-boots")
    assert pair.domains == ("bags", "boots")
    assert pair.labels == (8, 9)
    assert len(pair.train[0]) == int((fashion.train.labels == 8).sum())


def test_class_names_work_as_domains(fashion: Dataset):
    assert domain_pair(fashion, "sneaker-ankle boot").labels == (7, 9)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (None, "needs two domains and fashion-mnist has 10 classes"),
        ("bags-cats", "has no class 'cats'; it has T-shirt/top"),
        ("bags", "not two domains"),
        ("bags-bag", "twice"),
    ],
)
def test_a_pair_that_is_not_there_is_refused_with_what_is(fashion: Dataset, pair: str | None, reason: str):
    with pytest.raises(DataError, match=reason):
        domain_pair(fashion, pair)
