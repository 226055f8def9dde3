"""What latents know of the classes, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from training.data.datasets import Dataset
from training.metrics import probes


@pytest.mark.parametrize("k", [1, 10])
def test_neighbours_vote_as_in_scikit_learn(fashion: Dataset, k: int):
    train, test = (part.unit().flatten(1) for part in (fashion.train, fashion.test))
    theirs = KNeighborsClassifier(k).fit(train.double().numpy(), fashion.train.labels.numpy())
    expected = theirs.score(test.double().numpy(), fashion.test.labels.numpy())
    assert probes.knn_accuracy(train, fashion.train.labels, test, fashion.test.labels, k) == expected


def test_among_equal_votes_the_first_class_counts():
    votes = torch.tensor([[2, 1, 1, 2], [3, 0, 2, 1]])
    assert probes.voted(votes).tolist() == [1, 0]


def test_nearest_distances_stay_exact_far_from_the_origin():
    random = torch.Generator().manual_seed(0)
    rows, others = torch.randn((50, 3), generator=random), torch.randn((700, 3), generator=random)
    expected, indices = NearestNeighbors(n_neighbors=4).fit(others.numpy()).kneighbors(rows.numpy())
    distances, found = probes.nearest(rows + 1000, others + 1000, 4)
    assert distances.numpy() == pytest.approx(expected, abs=2e-3)
    assert (found.numpy() == indices).mean() > 0.99


def test_the_linear_probe_equals_scikit_learns_regression(fashion: Dataset):
    train, test = (part.unit().flatten(1)[:, 200:216] for part in (fashion.train, fashion.test))
    mean, deviation = train.mean(0), train.std(0)
    x, y = ((train - mean) / deviation).double(), fashion.train.labels
    theirs = LogisticRegression(C=1 / (probes.PENALTY * len(x)), tol=1e-8, max_iter=2000).fit(
        x.numpy(), y.numpy()
    )
    weights, _ = probes.logistic_regression(x, y)
    assert np.abs(weights.numpy() - theirs.coef_).max() < 0.02
    expected = theirs.score(((test - mean) / deviation).double().numpy(), fashion.test.labels.numpy())
    assert probes.linear_probe(train, y, test, fashion.test.labels) == pytest.approx(expected, abs=0.005)


def test_dead_numbers_do_not_disturb_the_probe():
    random = torch.Generator().manual_seed(0)
    latents = torch.randn((300, 4), generator=random)
    labels = (latents[:, 1] > 0).long()
    latents[:, 2] = 7.0
    assert probes.linear_probe(latents[:200], labels[:200], latents[200:], labels[200:]) > 0.97


def test_of_fewer_latents_than_neighbours_all_vote():
    latents = torch.tensor([[0.0], [1.0], [2.0]])
    assert probes.nearest_class(latents, torch.tensor([2, 1, 1]), torch.tensor([[0.0]])).tolist() == [1]
