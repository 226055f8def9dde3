"""Denoising images: six kinds of noise under three losses, beside classical filters.

Eighteen short runs of the denoising autoencoder on the same images. Each is kept under
`runs/studies/denoising/` by the hash of all it depends on, so an interrupted study goes on where it was.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from training.data.corruption import NOISES, NoiseKind, corrupt
from training.data.datasets import Dataset, fashion_mnist, to_range
from training.metrics import image_metrics
from training.plots import panels, png
from training.recipes.base import ImageShape
from training.recipes.denoiser import PIXEL_LOSSES, Denoiser, DenoiserConfig
from training.runtime.chunks import batched
from training.runtime.randomness import Randomness, Shuffle, generator
from training.runtime.run_folder import replace
from training.studies.findings import STUDY_RUNS, Cell, Findings, Plot, Table

TRAIN_IMAGES = 6000
TEST_IMAGES = 2000
FILTER_IMAGES = 500
"""Training images by which the filters' widths are chosen."""
LEVEL = 0.3
"""At which all are judged; training draws levels from 0 to `DenoiserConfig.level`."""
SETTINGS = {"width": 8, "latent_dim": 32, "updates": 600, "batch_size": 64, "learning_rate": 2e-3}
SHOWN = (0, 1)
"""Test images that are shown."""
MEASURES: dict[str, Callable[[Tensor, Tensor], float]] = {
    "MSE": image_metrics.mse,
    "L1": image_metrics.l1,
    "PSNR (dB)": image_metrics.psnr,
}
Filter = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Outcome:
    """What one way of denoising makes of the test images."""

    metrics: tuple[float, ...]
    """In the order of MEASURES."""
    shown: Tensor
    """(len(SHOWN), 1, size, size) in [0, 1]."""


Outcomes = dict[NoiseKind, dict[str, Outcome]]


def run() -> Findings:
    """Train or fetch the eighteen runs and compare them."""
    dataset = fashion_mnist()
    train, test = to_unit_images(dataset)
    outcomes: Outcomes = {}
    for kind in NOISES:
        noisy = spoil(test, kind, "test noise")
        name, best = best_filter(train[:FILTER_IMAGES], kind)
        outcomes[kind] = {
            "untouched": outcome(noisy, test),
            name: outcome(best(noisy), test),
            **{loss: cell(kind, loss, dataset, train, noisy, test) for loss in PIXEL_LOSSES},
        }
    return Findings(
        title="Denoising images",
        question="Which loss suits which noise, when a denoising autoencoder restores images?",
        parts=(suits_table(outcomes), runs_table(outcomes), images_plot(outcomes, test)),
    )


def to_unit_images(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Return the study's training and test images in [0, 1]."""
    parts = dataset.train.pixels[:TRAIN_IMAGES], dataset.test.pixels[:TEST_IMAGES]
    train, test = (to_range(part, Denoiser.value_range) for part in parts)
    return train, test


def spoil(images: Tensor, kind: NoiseKind, purpose: str) -> Tensor:
    """Return the images with noise of the judged level, clipped as an image file would be."""
    levels = torch.full((len(images),), LEVEL)
    return corrupt(images, kind, levels, generator(0, f"{purpose} {kind}")).clamp(0, 1)


def outcome(restored: Tensor, clean: Tensor) -> Outcome:
    """Return the metrics of restored images, and those that are shown."""
    metrics = tuple(measure(restored, clean) for measure in MEASURES.values())
    return Outcome(metrics, restored[list(SHOWN)])


def filters() -> dict[str, Filter]:
    """Return the classical filters by name."""
    medians = {f"median {side}x{side}": median_filter(side) for side in (3, 5, 7)}
    blurs = {f"Gaussian blur {sigma}": gaussian_blur(sigma) for sigma in (0.5, 0.75, 1.0, 1.25, 1.5)}
    return medians | blurs


def median_filter(side: int) -> Filter:
    """Return the filter that puts the median of side x side pixels in the place of each."""
    return lambda images: torch.from_numpy(ndimage.median_filter(images.numpy(), size=(1, 1, side, side)))


def gaussian_blur(sigma: float) -> Filter:
    """Return the filter that averages with Gaussian weights; sigma in pixels."""
    return lambda images: torch.from_numpy(
        ndimage.gaussian_filter(images.numpy(), sigma=(0, 0, sigma, sigma))
    )


def best_filter(images: Tensor, kind: NoiseKind) -> tuple[str, Filter]:
    """Return the filter of least squared error on noisy training images."""
    noisy = spoil(images, kind, "noise for filters")
    return min(filters().items(), key=lambda item: image_metrics.mse(item[1](noisy), images))


def cell(kind: NoiseKind, loss: str, dataset: Dataset, train: Tensor, noisy: Tensor, test: Tensor) -> Outcome:
    """Return what the run of one noise and one loss makes of the test images, from disk if it is there."""
    config = DenoiserConfig.model_validate({**SETTINGS, "noise": kind, "loss": loss})
    depends = {
        "config": config.model_dump(),
        "data": dataset.sha256,
        "images": (TRAIN_IMAGES, TEST_IMAGES),
        "level": LEVEL,
        "shown": SHOWN,
    }
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:12]
    path = STUDY_RUNS / "denoising" / f"{kind}-{loss}-{digest}.npz"
    if path.is_file():
        kept = np.load(path, allow_pickle=False)
        return Outcome(tuple(kept["metrics"].tolist()), torch.from_numpy(kept["shown"]))
    network = restorer(config, train, dataset.classes)
    result = outcome(batched(network, noisy), test)
    file = io.BytesIO()
    np.savez(file, metrics=np.array(result.metrics), shown=result.shown.numpy())
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, file.getvalue())
    return result


def restorer(config: DenoiserConfig, images: Tensor, classes: tuple[str, ...]) -> nn.Module:
    """Return the trained way from noisy images to clean ones.

    The plain loop of the trainer, but for averaged weights: a run this short ends on its last ones.
    """
    device = torch.device("cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        recipe = Denoiser(config, ImageShape(images.shape[1], images.shape[2], classes), device)
    order = Shuffle(len(images), config.seed, "order")
    no_labels = torch.empty(0)
    for update in range(config.updates):
        recipe.progress = update / config.updates
        for group in recipe.optimizers["all"].param_groups:
            group["lr"] = config.learning_rate * recipe.learning_rate_factor()
        batch = images[order.take(update * config.batch_size, config.batch_size)]
        recipe.update(batch, no_labels, Randomness(config.seed, update, device))
    return nn.Sequential(recipe.encoder, recipe.decoder).eval()


def suits_table(outcomes: Outcomes) -> Table:
    """Return which loss does best by which measure, and by how much."""
    rows: list[tuple[Cell, ...]] = []
    for kind, ways in outcomes.items():
        best = [winner(ways, index) for index in range(len(MEASURES))]
        mse, l1 = ways["mse"].metrics, ways["l1"].metrics
        rows.append((kind, *best, 100 * (l1[0] / mse[0] - 1), 100 * (mse[1] / l1[1] - 1)))
    own = [sum(row[column] == loss for row in rows) for column, loss in ((1, "mse"), (2, "l1"))]
    return Table(
        title="Which noise suits which loss",
        note="The loss that does best on test images, by each measure. The measure decides more "
        f"than the noise does: mse wins by MSE under {own[0]} of {len(rows)} kinds, "
        f"l1 by L1 under {own[1]}. One run per cell: differences of a "
        "percent or two may be the seed's.",
        columns=(
            "noise", *(f"best by {name}" for name in MEASURES),
            "MSE of l1 above mse's %", "L1 of mse above l1's %",
        ),
        rows=tuple(rows),
    )  # fmt: skip


def winner(ways: dict[str, Outcome], index: int) -> str:
    """Return the loss of the least error, or of the largest PSNR."""
    sign = -1 if list(MEASURES)[index].startswith("PSNR") else 1
    return min(PIXEL_LOSSES, key=lambda loss: sign * ways[loss].metrics[index])


def runs_table(outcomes: Outcomes) -> Table:
    """Return every metric of all runs."""
    config = DenoiserConfig.model_validate(SETTINGS)
    return Table(
        title="All runs",
        note=f"{TEST_IMAGES} test images at level {LEVEL}, clipped to [0, 1] (so Cauchy noise, whose tails "
        "are cut off, acts like Gaussian noise with salt and pepper, and averages of it exist). "
        f"Networks: latent {config.latent_dim}, width {config.width}, {config.updates} updates of "
        f"{config.batch_size} images out of {TRAIN_IMAGES}, levels drawn up to {config.level}. The filter is "
        f"the one of least squared error on {FILTER_IMAGES} noisy training images.",
        columns=("noise", "denoiser", *MEASURES),
        rows=tuple(
            (kind, way, *result.metrics) for kind, ways in outcomes.items() for way, result in ways.items()
        ),
    )


def images_plot(outcomes: Outcomes, test: Tensor) -> Plot:
    """Draw clean, noisy and restored test images, one row per noise."""
    size = test.shape[-1]
    clean = test[list(SHOWN)]
    rows = [torch.cat([clean, *(way.shown for way in ways.values())]) for ways in outcomes.values()]
    mosaic = torch.stack(rows)[:, :, 0].permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    figure, (ax,) = panels(1, width=7.4, height=3.7)
    ax.imshow(1 - mosaic.numpy(), cmap="gray", vmin=0, vmax=1)
    names = ("clean", "noisy", "filter", *PIXEL_LOSSES)
    width = size * len(SHOWN)
    ax.set_xticks([width * (index + 0.5) for index in range(len(names))], names)
    ax.set_yticks([size * (index + 0.5) for index in range(len(rows))], list(outcomes))
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.set_title(f"Noise of level {LEVEL}, and what each loss makes of it")
    return Plot(
        title="Test images",
        note=f"The first {len(SHOWN)} test images, black on white. Short runs of small networks: "
        "what they show is the difference between losses, not how well denoising can be done.",
        png=png(figure),
    )
