"""What latents know of the classes, read out by the simplest means: neighbours, and a linear classifier.

Latents are (N, D) rows, labels (N,) class indices. Both are fitted on the training set's latents and judged
on the test set's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 100
"""Rows at once: their distances should stay in the cache."""
NEIGHBOURS = 10
"""Of a latent, whose classes are counted."""
PENALTY = 1e-3
"""lambda of lambda/2 |W|², beside the mean cross-entropy."""
ITERATIONS = 100
"""Pixels would need more to settle: their accuracy still moves by 0.001 with how a machine rounds."""


def nearest(rows: Tensor, others: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return distances to the `count` nearest of `others` and their indices, (N, count) each."""
    centre = others.mean(0)
    # |x|² + |y|² - 2xy loses digits far from the origin, so both move there first.
    others = others - centre
    halves = others.square().sum(1) / 2
    distances, nearest_ones = [], []
    for block in (rows - centre).split(BLOCK):
        # |x - y|²/2 - |x|²/2, which is as good for finding the nearest and one pass cheaper.
        part, indices = torch.addmm(halves, block, others.T, alpha=-1).topk(count, dim=1, largest=False)
        squared = 2 * part + block.square().sum(1, keepdim=True)
        distances.append(squared.clamp_min(0).sqrt())
        nearest_ones.append(indices)
    return torch.cat(distances), torch.cat(nearest_ones)


def knn_accuracy(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, k: int = NEIGHBOURS
) -> float:
    """Return the share of test latents whose class most of their k nearest training latents have."""
    return (nearest_class(train, train_labels, test, k) == test_labels).double().mean().item()


def nearest_class(train: Tensor, train_labels: Tensor, test: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """Return the class that most of the k nearest training latents of each test latent have, (N,).

    All of them where there are fewer. Of classes with as many votes the first counts, as in scikit-learn;
    its classifier is not used since `nearest` is needed for distances too, and as fast for long latents.
    """
    _, indices = nearest(test, train, min(k, len(train)))
    return voted(train_labels[indices])


def voted(votes: Tensor) -> Tensor:
    """Return the most frequent class of each row of votes (N, k), the first of several; (N,)."""
    classes = int(votes.max()) + 1
    counts = F.one_hot(votes, classes).sum(1)
    return (counts * classes - torch.arange(classes)).argmax(1)


def linear_probe(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Return the accuracy of multinomial logistic regression on standardised latents."""
    mean, deviation = train.mean(0), train.std(0).clamp_min(1e-6)
    weights, biases = logistic_regression((train - mean) / deviation, train_labels)
    logits = F.linear((test - mean) / deviation, weights, biases)
    return (logits.argmax(1) == test_labels).double().mean().item()


def logistic_regression(latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights (classes, D) and biases (classes,) of least mean cross-entropy + lambda/2 |W|²."""
    classes = int(labels.max()) + 1
    weights = torch.zeros(classes, latents.shape[1], dtype=latents.dtype, requires_grad=True)
    biases = torch.zeros(classes, dtype=latents.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, biases], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        error = F.cross_entropy(F.linear(latents, weights, biases), labels)
        value = error + PENALTY / 2 * weights.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return weights.detach(), biases.detach()
