"""Latents by class, on the pixels themselves as latents: what is counted is checked against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from training.data.datasets import Dataset, digits
from training.evaluation import latent_map
from training.metrics.probes import nearest_class

CLASSES = ("a", "b", "c")


def test_confusions_are_counted_as_scikit_learn_counts_them(fashion: Dataset):
    found = latent_map.latents_by_class(nn.Flatten(), (0.0, 1.0), fashion)
    train, test = (part.pixels.flatten(1).numpy() / 255 for part in (fashion.train, fashion.test))
    neighbours = KNeighborsClassifier(10, algorithm="brute").fit(train, fashion.train.labels)
    expected = confusion_matrix(fashion.test.labels, neighbours.predict(test), labels=range(10))
    assert np.array_equal(found.counts, expected)
    assert np.trace(expected) not in (0, len(fashion.test))


def test_a_class_that_is_never_seen_has_a_row_and_a_column_of_zeros():
    counts = latent_map.counted(np.array([0, 0, 2]), np.array([0, 2, 2]), 3)
    assert counts.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]


def test_confusions_are_named_with_the_most_frequent_first():
    counts = np.array([[5, 2, 0], [0, 9, 1], [3, 0, 7]])
    assert [str(one) for one in latent_map.confusions(counts, CLASSES)] == [
        "c taken for a: 3 of 10",
        "a taken for b: 2 of 7",
        "b taken for c: 1 of 10",
    ]


def test_the_plane_of_long_latents_is_that_of_principal_component_analysis():
    latents = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32) * [1, 5, 2, 3, 1] + 7
    plane, share = latent_map.principal_plane(latents.astype(np.float32))
    pca = PCA(2).fit(latents)
    assert np.allclose(np.abs(plane), np.abs(pca.transform(latents)), atol=1e-3)
    assert share == pytest.approx(pca.explained_variance_ratio_.sum(), rel=1e-5)


@pytest.mark.parametrize("size", [1, 2])
def test_a_latent_of_at_most_two_numbers_stays_as_it_is(size: int):
    latents = np.random.default_rng(0).normal(size=(20, size)).astype(np.float32)
    plane, share = latent_map.principal_plane(latents)
    assert plane.shape == (20, 2)
    assert np.array_equal(plane[:, :size], latents)
    assert share == 1


def test_of_a_distribution_the_mean_is_the_latent():
    class Posterior(nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images.flatten(1), torch.full_like(images, 9).flatten(1)

    pixels = torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8)
    found = latent_map.mean_latents(Posterior(), pixels, (-1.0, 1.0))
    assert np.allclose(found, pixels.flatten(1).numpy() / 127.5 - 1, atol=1e-6)


def test_the_grid_of_latents_runs_from_the_upper_left_and_its_plot_reaches_half_a_step_further():
    points = np.stack([np.linspace(0, 100, 101), np.linspace(-50, 50, 101)], axis=1)
    grid, extent = latent_map.latent_grid(points, 3)
    assert grid[0].tolist() == [1, 49]
    assert grid[2].tolist() == [99, 49]
    assert grid[-1].tolist() == [99, -49]
    assert extent == (1 - 24.5, 99 + 24.5, -49 - 24.5, 49 + 24.5)


def test_the_classes_that_look_alike_are_classes_of_their_data(fashion: Dataset):
    assert len(latent_map.lookalike_pairs(fashion)) == 12
    assert len(latent_map.lookalike_pairs(digits())) == 2 + 6
    for dataset in (fashion, digits()):
        names = {name for pair in latent_map.lookalike_pairs(dataset) for name in pair}
        assert names <= set(dataset.classes)


def test_t_sne_keeps_a_latent_near_those_of_its_class():
    random = np.random.default_rng(0)
    centres = np.repeat(np.eye(3, 8) * 20, 40, axis=0)
    points = latent_map.neighbour_embedding((centres + random.normal(size=(120, 8))).astype(np.float32))
    labels = np.repeat([0, 1, 2], 40)
    assert (nearest_class(*map(torch.from_numpy, (points, labels, points))).numpy() == labels).all()
