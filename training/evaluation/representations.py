"""Judges latents: what they know of the classes, and what a distribution over them costs and uses."""

from __future__ import annotations

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from training.data.datasets import Dataset, to_range, to_unit
from training.evaluation.baselines import Row, Rows, reference
from training.metrics.image_metrics import mse
from training.metrics.pca import PCA
from training.metrics.probes import knn_accuracy, linear_probe
from training.runtime.chunks import batched
from training.runtime.randomness import generator

ACTIVE_VARIANCE = 0.01
"""A number of a latent is active if the posterior's mean varies by more over the data (Burda et al. 2016)."""

Range = tuple[float, float]


def judge_latents(
    operations: dict[str, nn.Module], value_range: Range, dataset: Dataset, pca: PCA
) -> dict[str, JsonValue]:
    """Return how well 10 nearest neighbours and a linear classifier read classes off the latents.

    Beside them stands what PCA's latents of the same length and the pixels themselves reach. Where `encode`
    gives a distribution: `rate_nats` is the mean KL to N(0, I), `distortion_mse` the error of decoded draws.
    """
    encode = operations["encode"]
    latents, logvar = encoded(encode, to_range(dataset.test.pixels, value_range))
    found: dict[str, JsonValue] = {}
    if len(dataset.classes) > 1:
        train, _ = encoded(encode, to_range(dataset.train.pixels, value_range))
        rows = _accuracies(train, latents, dataset, pca)
        found = {name: rows["latent"][name] for name in ("knn_accuracy", "linear_probe")}
        found["codes"] = dict(rows)  # as the manifests of checkpoints call it
    if logvar is not None:
        found |= posterior_metrics(latents, logvar)
        if "decode" in operations:
            noise = torch.randn(latents.shape, generator=generator(0, "posterior"))
            z = latents + (0.5 * logvar).exp() * noise
            drawn = to_unit(batched(operations["decode"], z), value_range)
            found["distortion_mse"] = mse(drawn, dataset.test.unit())
    return found


def encoded(encode: nn.Module, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the latents (N, D), of a distribution the means, and its log variances where it is one."""
    with torch.no_grad():
        single = isinstance(encode(images[:1]), Tensor)
    if single:
        return batched(encode, images), None
    mu, logvar = batched(lambda rows: torch.stack(encode(rows), dim=1), images).unbind(1)
    return mu, logvar


def posterior_metrics(mu: Tensor, logvar: Tensor) -> dict[str, JsonValue]:
    """Return the rate and the number of active units of q(z|x) = N(mu, exp(logvar)), (N, D) each."""
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).double().sum(1)
    return {
        "rate_nats": kl.mean().item(),
        "active_units": int((mu.double().var(0) > ACTIVE_VARIANCE).sum()),
    }


def _accuracies(train: Tensor, test: Tensor, dataset: Dataset, pca: PCA) -> Rows:
    def accuracies(of_train: Tensor, of_test: Tensor) -> Row:
        labels = dataset.train.labels, dataset.test.labels
        return {
            "numbers": of_train.shape[1],
            "knn_accuracy": knn_accuracy(of_train, labels[0], of_test, labels[1]),
            "linear_probe": linear_probe(of_train, labels[0], of_test, labels[1]),
        }

    pixels = [part.unit() for part in (dataset.train, dataset.test)]
    size = test.shape[1]
    rows = {"latent": accuracies(train, test)}
    if size < pixels[0][0].numel():
        rows["PCA"] = accuracies(*(pca.project(part, size).float() for part in pixels))

    def of_pixels() -> Rows:
        return {"pixels": accuracies(*(part.flatten(1) for part in pixels))}

    return rows | reference(dataset, "pixels", of_pixels)
