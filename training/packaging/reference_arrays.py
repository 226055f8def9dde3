"""What a checkpoint was trained on, as its latent space sees it: the arrays of reference.npz.

The layout is that of service/checkpoint/reference.py. Training images stand for the data; test images, which
training has not seen, set how far from them the latent of a typical image may lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data.datasets import Dataset, Images, to_range, to_unit
from training.evaluation.latent_map import mean_latents
from training.metrics.pca import PCA
from training.runtime.chunks import batched
from training.runtime.randomness import generator

Arrays = dict[str, NDArray[Any]]

ROWS = 2000
"""Training images that are kept, at most; every class has as many."""
HELD_OUT = 5000
"""Test images, the first ones, that show what is typical; at most half of them."""
THUMBNAIL = 32
"""Pixels of a side at most."""
RIDGE = 1e-4
"""Of the mean variance: added to the covariance, which a dead number of the latent would make singular."""


def reference(operations: dict[str, nn.Module], value_range: tuple[float, float], data: Dataset) -> Arrays:
    """Return the arrays of reference.npz for a recipe that encodes."""
    encode, decode = operations["encode"], operations.get("decode")
    chosen = balanced(data.train, len(data.classes), ROWS)
    latents = mean_latents(encode, chosen.pixels, value_range)
    mean, whitening = whitened(latents)
    held_out = data.test.pixels[: max(1, min(HELD_OUT, len(data.test) // 2))]
    distances = np.linalg.norm((mean_latents(encode, held_out, value_range) - mean) @ whitening, axis=1)
    errors = reconstruction_errors(encode, decode, held_out, value_range) if decode else np.empty(0)
    centre, axes = plane(latents)
    return {
        "latents": latents,
        "labels": chosen.labels.numpy().astype(np.int64),
        "thumbnails": thumbnails(chosen.pixels),
        "centre": centre,
        "axes": axes,
        "mean": mean,
        "whitening": whitening,
        "distances": np.sort(distances).astype(np.float32),
        "errors": np.sort(errors).astype(np.float32),
    }


def balanced(images: Images, classes: int, rows: int) -> Images:
    """Return `rows` of the images at most, drawn at random, as many of each class as of every other."""
    order = torch.randperm(len(images), generator=generator(0, "reference"))
    labels = images.labels[order]
    smallest = int(labels.bincount(minlength=classes).min())
    each = max(1, min(rows // classes, smallest))
    picked = torch.cat([order[labels == label][:each] for label in range(classes)])
    return images[picked.sort().values]


def whitened(latents: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean and W with cov((z - mean) @ W) = I: W is the transposed inverse Cholesky factor."""
    mean = latents.mean(axis=0, dtype=np.float64)
    covariance = np.atleast_2d(np.cov(latents, rowvar=False))
    size = len(covariance)
    ridge = max(RIDGE * np.trace(covariance) / size, np.finfo(np.float32).eps)
    factor = np.linalg.cholesky(covariance + ridge * np.eye(size))
    return mean.astype(np.float32), np.linalg.inv(factor).T.astype(np.float32)


def plane(latents: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the origin and the two axes of the map: a latent of two numbers itself, else its two widest."""
    size = latents.shape[1]
    if size == 1:
        return np.zeros(1, np.float32), np.array([[1], [0]], np.float32)
    if size == 2:
        return np.zeros(2, np.float32), np.eye(2, dtype=np.float32)
    pca = PCA.fit(torch.from_numpy(latents), 2)
    return pca.mean.float().numpy(), pca.components.float().numpy()


def reconstruction_errors(
    encode: nn.Module, decode: nn.Module, pixels: Tensor, value_range: tuple[float, float]
) -> NDArray[np.float32]:
    """Return the mean squared error of each image decoded from its mean latent, on the scale [0, 1]."""

    def errors(part: Tensor) -> Tensor:
        images = to_range(part, value_range)
        found = encode(images)
        returned = decode(found[0] if isinstance(found, tuple) else found)
        difference = to_unit(returned, value_range) - to_unit(images, value_range)
        squares: Tensor = difference.square().flatten(1).mean(dim=1)
        return squares

    return batched(errors, pixels).float().numpy()


def thumbnails(pixels: Tensor) -> NDArray[np.uint8]:
    """Return uint8 images (N, C, H, W) as (N, h, w) or (N, h, w, 3), shrunk where they are large."""
    if pixels.shape[-1] > THUMBNAIL:
        shrunk = nn.functional.interpolate(pixels.float(), size=(THUMBNAIL, THUMBNAIL), mode="area")
        pixels = shrunk.round().clamp(0, 255).to(torch.uint8)
    rows = pixels.permute(0, 2, 3, 1).contiguous().numpy()
    return rows[..., 0] if rows.shape[-1] == 1 else rows
