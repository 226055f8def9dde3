"""Judges what is generated, against the test images and beside what the data alone scores.

    cfid            Fréchet distance in the features F1 (see features.py); the name FID belongs to Inception's
    cfid_control    the same in PCA-64 latents, F0: no network is involved
    kid             kernel distance in F1
    density, coverage  in F1, of the generated and of the test images
    class_distance  half the sum of |share of a class - its share in the test images|, classes as F1 sees them
    sharpness       mean variance of an image's Laplacian (Pech-Pacheco et al. 2000), over the test images'

A conditional recipe is asked for all classes in turn. Every metric is the mean over sample seeds,
`cfid_deviation` the standard deviation over them. Beside them stand as many training images (the floor), the
test images cut down to 16 principal components, and noise; `features_accuracy` is how well the classifier
of F1 does on the test images. Fréchet distances fall as the number of images grows, so metrics compare at
equal numbers only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import JsonValue
from rich.console import Console
from torch import Tensor

from training.data.datasets import Dataset, to_unit
from training.evaluation.baselines import Row, Rows, reference
from training.evaluation.features import Features, features_of
from training.metrics.distributions import density_and_coverage, frechet_distance, kid, radii
from training.metrics.interpolation import linear, spherical
from training.metrics.pca import PCA
from training.metrics.probes import nearest
from training.recipes.base import Recipe
from training.runtime.chunks import batched
from training.runtime.randomness import generator

SAMPLES = 10_000
SEEDS = 5
FEWEST_IMAGES = 50
"""With fewer test images distributions cannot be compared."""
CONTROL_DIMENSIONS, REDUCED_DIMENSIONS = 64, 16
NEIGHBOURS_OF = 2000
"""Images, the first ones, whose nearest training image is searched for."""

PATHS, STEP = 2000, 0.01

Draw = Callable[[int, torch.Generator], Tensor]
"""Latents (count, latent_dim) from which to generate."""


class FeatureSpaces:
    """The test images in both feature spaces, ready to compare others with."""

    def __init__(self, dataset: Dataset, features: Features | None, pca: PCA) -> None:
        test = dataset.test[:SAMPLES].unit()
        self._features, self._pca, self._names = features, pca, dataset.classes
        self._control = self._projected(test)
        self._sharpness = sharpness(test)
        if features:
            self._real = features(test)
            classes = features.classes(self._real)
            self.accuracy = (classes == dataset.test.labels[:SAMPLES]).double().mean().item()
            self._shares = self._shares_of(self._real)
            self._radius = radii(self._real)

    def row(self, images: Tensor) -> dict[str, float]:
        """Return the metrics of images (N, C, size, size) in [0, 1]."""
        found = {}
        if self._features:
            generated = self._features(images)
            density, coverage = density_and_coverage(self._real, self._radius, generated)
            found = {
                "cfid": frechet_distance(generated, self._real),
                "kid": kid(generated, self._real),
                "density": density,
                "coverage": coverage,
                "class_distance": 0.5 * (self._shares_of(generated) - self._shares).abs().sum().item(),
            }
        return found | {
            "cfid_control": frechet_distance(self._projected(images), self._control),
            "sharpness": sharpness(images) / self._sharpness,
        }

    def class_shares(self, images: Tensor) -> Rows:
        """Return the share of every class among images (N, C, size, size) in [0, 1] and the test images."""
        assert self._features
        of = {"generated": self._shares_of(self._features(images)), "test images": self._shares}
        return {row: dict(zip(self._names, each.tolist(), strict=True)) for row, each in of.items()}

    def _shares_of(self, features: Tensor) -> Tensor:
        assert self._features
        counts = self._features.classes(features).bincount(minlength=len(self._names))
        return counts.double() / len(features)

    def _projected(self, images: Tensor) -> Tensor:
        return self._pca.project(images, CONTROL_DIMENSIONS)


def judge_generation(recipe: Recipe, dataset: Dataset, pca: PCA, console: Console) -> dict[str, JsonValue]:
    """Return the metrics of `generate` with the recipe's prior; with N(0, I) too where a mixture is fitted.

    Data of a single class have no classifier and so no metrics in F1.
    """
    count = min(SAMPLES, len(dataset.test))
    if count < FEWEST_IMAGES:
        return {}
    features = features_of(dataset, console) if len(dataset.classes) > 1 else None
    scales = FeatureSpaces(dataset, features, pca)

    def drawn(draw: Draw, seeds: int) -> Row:
        samples = (images_from(recipe, draw(count, seeded(seed))) for seed in range(seeds))
        return over_seeds([scales.row(images) for images in samples])

    rows: Rows = {"generated": drawn(recipe.draw, SEEDS)}
    if recipe.prior is not None:
        rows["generated from N(0, I)"] = drawn(standard_normal(recipe), 1)

    def stand_ins() -> Rows:
        return _stand_ins(scales, dataset, pca, count)

    def nearest_of_test() -> Rows:
        return {"test images": _nearest_training_image(dataset.test.unit(), dataset)}

    sha256 = features.sha256 if features else "none"
    rows |= reference(dataset, "generation", stand_ins, images=count, features=sha256)
    first = images_from(recipe, recipe.draw(count, seeded(0)))
    nearest_rows: Rows = {"generated": _nearest_training_image(first, dataset)}
    nearest_rows |= reference(dataset, "memorisation", nearest_of_test)
    found: dict[str, JsonValue] = {"generated_images": count, "generated_seeds": SEEDS}
    if features:
        found |= {
            "cfid": rows["generated"]["cfid"],
            "features_accuracy": scales.accuracy,
            "features_sha256": features.sha256,
            "path_length": path_length(recipe, features),
            "class_shares": dict(scales.class_shares(first)),
        }
    return found | {"generation": dict(rows), "nearest_training_image": dict(nearest_rows)}


def over_seeds(each: list[dict[str, float]]) -> Row:
    """Return the mean of the metrics of several sample seeds, and how cFID scatters over these."""
    row: Row = {name: sum(one[name] for one in each) / len(each) for name in each[0]}
    if "cfid" in row and len(each) > 1:
        row["cfid_deviation"] = torch.tensor([one["cfid"] for one in each]).double().std().item()
    return row


def images_from(recipe: Recipe, latents: Tensor) -> Tensor:
    """Return what is generated from latents, of the classes in turn where there are classes, in [0, 1]."""
    inputs = [latents]
    if recipe.conditional:
        inputs.append(torch.arange(len(latents), device=latents.device) % len(recipe.shape.classes))
    return to_unit(batched(recipe.operations()["generate"], *inputs), recipe.value_range)


def path_length(recipe: Recipe, features: Features) -> float:
    """Return how much F1 changes on the way between two latents, per squared step (Karras et al. 2019).

    The mean over pairs of draws of |F1(G(z(t + s))) - F1(G(z(t)))|² / s²; t is uniform, s = 0.01, and the way
    z is along the sphere for N(0, I), else straight.
    """
    random = generator(0, "path length")
    a, b = (recipe.draw(PATHS, random) for _ in range(2))
    t = torch.rand((PATHS, 1), generator=random).to(a.device) * (1 - STEP)
    way = spherical if recipe.draws_normally else linear
    before, after = (features(images_from(recipe, way(a, b, at))) for at in (t, t + STEP))
    return (after - before).square().sum(1).double().mean().item() / STEP**2


def standard_normal(recipe: Recipe) -> Draw:
    """Return what draws from N(0, I)."""
    return lambda count, random: torch.randn((count, recipe.latent_dim), generator=random)


def seeded(seed: int) -> torch.Generator:
    """Return the generator of one sample seed."""
    return generator(seed, "evaluation latents")


def sharpness(images: Tensor) -> float:
    """Return the mean over images (N, C, size, size) of the variance of their Laplacian."""
    centre = images[..., 1:-1, 1:-1]
    around = images[..., :-2, 1:-1] + images[..., 2:, 1:-1] + images[..., 1:-1, :-2] + images[..., 1:-1, 2:]
    return (around - 4 * centre).flatten(1).var(1).double().mean().item()


def _stand_ins(scales: FeatureSpaces, dataset: Dataset, pca: PCA, count: int) -> Rows:
    test = dataset.test[:count].unit()
    chosen = torch.randperm(len(dataset.train), generator=generator(0, "floor"))[:count]
    return {
        "training images": dict(scales.row(dataset.train[chosen].unit())),
        f"PCA-{REDUCED_DIMENSIONS} of test images": dict(
            scales.row(pca.rebuilt(test, REDUCED_DIMENSIONS).clamp(0, 1))
        ),
        "noise": dict(scales.row(torch.rand(test.shape, generator=generator(0, "noise images")))),
    }


def _nearest_training_image(images: Tensor, dataset: Dataset) -> Row:
    """Return how far images in [0, 1] are from the nearest training image, root mean square per pixel.

    A copier's median lies far below the test images', or where it copies seldom, its lowest hundredth.
    """
    train = dataset.train.unit().flatten(1)
    distances, _ = nearest(images[:NEIGHBOURS_OF].flatten(1), train, 1)
    each = distances[:, 0].double() / train.shape[1] ** 0.5
    return {"median": each.median().item(), "lowest_hundredth": each.quantile(0.01).item()}
