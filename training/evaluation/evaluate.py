"""Judges what a recipe offers on images it was never trained on.

What is measured follows from the operations, not from the family: whatever encodes and decodes is judged
by its reconstructions and by what its latents know of the classes, whatever generates by how its images are
distributed, whatever generates by class by an independent classifier, whatever translates by what comes out,
how far it went from the input, and whether it comes back. A recipe may add metrics of its own.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import JsonValue
from rich.console import Console
from torch import Tensor, nn

from training.data.datasets import Dataset, Images, to_range, to_unit
from training.data.domain_pairs import DomainPair
from training.evaluation.generated_images import CONTROL_DIMENSIONS, images_from, judge_generation, seeded
from training.evaluation.judge import Judge, judge_of, trained_judge
from training.evaluation.representations import judge_latents
from training.metrics import image_metrics
from training.metrics.patches import patch_distance
from training.metrics.pca import PCA, pca_mse
from training.recipes.base import Recipe
from training.runtime.chunks import batched
from training.runtime.randomness import generator

Metrics = dict[str, JsonValue]
Operations = dict[str, nn.Module]
SAMPLES = 10_000
TRUNCATIONS = (1.0, 0.8, 0.6, 0.4)
HIDDEN_NOISE = 0.02
"""Standard deviation of the noise on a half-trip image in [0, 1], when hidden messages are searched for."""


def evaluate(recipe: Recipe, data: Dataset | DomainPair, console: Console) -> Metrics:
    """Return the metrics of a trained recipe on the test images."""
    found = validate(recipe, data, console)
    if isinstance(data, DomainPair):
        return found
    operations = recipe.operations()
    train = data.train.unit()
    pca = PCA.fit(train, max(CONTROL_DIMENSIONS, recipe.latent_dim))
    if "encode" in operations:
        found |= judge_latents(operations, recipe.value_range, data, pca)
    if "generate" in operations:
        found |= judge_generation(recipe, data, pca, console)
    if recipe.conditional:
        found |= gan_train(recipe, data, console)
    return found | recipe.metrics(data)


def validate(recipe: Recipe, data: Dataset | DomainPair, console: Console) -> Metrics:
    """Return the cheap metrics only: reconstructions, label fidelity, translations."""
    operations, value_range = recipe.operations(), recipe.value_range
    if isinstance(data, DomainPair):
        return evaluate_translation(operations, value_range, data, console)
    found: Metrics = {}
    if {"encode", "decode"} <= set(operations):
        found |= _reconstruction(operations, recipe.latent_dim, value_range, data)
    if recipe.conditional:
        found |= label_fidelity(recipe, data, judge_of(data, console))
    elif "generate" in operations:
        test = data.test[:SAMPLES].unit()
        images = images_from(recipe, recipe.draw(len(test), generator(0, "patches")))
        found["patch_distance"] = patch_distance(images, test, generator(0, "patch directions"))
    return found


def _reconstruction(
    operations: Operations, latent_dim: int, value_range: tuple[float, float], dataset: Dataset
) -> Metrics:
    test = dataset.test.unit()
    rebuilt = to_unit(reconstruct(operations, to_range(dataset.test.pixels, value_range)), value_range)
    error = image_metrics.mse(rebuilt, test)
    found: Metrics = {
        "images": len(test),
        "mse": error,
        "psnr_db": image_metrics.psnr(rebuilt, test),
        "ssim": image_metrics.ssim(rebuilt, test),
    }
    if latent_dim < test[0].numel():  # a longer latent could be the image itself
        pca = pca_mse(dataset.train.unit(), test, latent_dim)
        found |= {"pca_mse": pca, "mse_over_pca": error / pca}
    return found


def label_fidelity(recipe: Recipe, dataset: Dataset, judge: Judge) -> Metrics:
    """Return how often the judge agrees with the label asked for, over 10,000 samples at truncation 1.

    Each metric stands beside what the judge scores on real test images of the class; `by_truncation` has
    what less daring latents give.
    """
    count = len(dataset.classes)
    labels = torch.arange(SAMPLES) % count
    latents = recipe.draw(SAMPLES, seeded(0))

    def hits(truncation: float) -> Tensor:
        return judge.predict(images_from(recipe, truncation * latents)) == labels

    agreed = {truncation: hits(truncation) for truncation in TRUNCATIONS}
    agreement = agreed[1.0].double().mean().item()
    by_class = {
        name: {
            "generated": agreed[1.0][labels == label].double().mean().item(),
            "real": judge.real_accuracy_by_class[label],
        }
        for label, name in enumerate(dataset.classes)
    }
    return {
        "samples": SAMPLES,
        "label_agreement": agreement,
        "judge_on_real": judge.real_accuracy,
        "agreement_over_real": agreement / judge.real_accuracy,
        "worst_class_over_real": min(row["generated"] / max(row["real"], 1e-9) for row in by_class.values()),
        "by_class": {name: dict(row) for name, row in by_class.items()},
        "by_truncation": {
            f"truncation {truncation:g}": {"label_agreement": each.double().mean().item()}
            for truncation, each in agreed.items()
        },
        "judge_sha256": judge.sha256,
    }


def gan_train(recipe: Recipe, dataset: Dataset, console: Console) -> Metrics:
    """Return how well a classifier of generated images knows the real test images (Shmelkov et al. 2018).

    It is trained as the judge is, on as many images, all of them generated; the judge, which saw real ones,
    is what it is compared with. Prototypes and missing variety, which label agreement rewards, cost here.
    """
    count = len(dataset.train)
    images = images_from(recipe, recipe.draw(count, generator(0, "GAN-train latents")))
    labels = torch.arange(count) % len(dataset.classes)
    generated = Images((images * 255).round().to(torch.uint8), labels)
    console.print("training a classifier of generated images", highlight=False)
    learned = trained_judge(replace(dataset, train=generated), console).real_accuracy
    real = judge_of(dataset, console).real_accuracy
    return {"gan_train": learned, "gan_train_over_real": learned / real}


def evaluate_translation(
    operations: Operations, value_range: tuple[float, float], pair: DomainPair, console: Console
) -> Metrics:
    """Return the metrics of both translations on the test images of both domains."""
    found: Metrics = {}
    judge = judge_of(pair.dataset, console) if pair.labels else None
    for side in (0, 1):
        source, target = pair.domains[side], pair.domains[1 - side]
        there, back = operations[f"translate.{target}"], operations[f"translate.{source}"]
        inputs = to_range(pair.test[side], (0.0, 1.0))
        outputs = to_unit(batched(there, to_range(pair.test[side], value_range)), value_range)
        returned = _carried(back, outputs, value_range)
        row: dict[str, JsonValue] = {
            "images": len(inputs),
            "change_l1": image_metrics.l1(inputs, outputs),
            "change_ssim": 1 - image_metrics.ssim(inputs, outputs),
            "round_trip_l1": image_metrics.l1(inputs, returned),
            "round_trip_retrieval": image_metrics.retrieval(returned, inputs),
        }
        jostled = image_metrics.rounded(outputs, HIDDEN_NOISE, generator(0, f"hidden {target}"))
        row["round_trip_l1_after_noise"] = image_metrics.l1(inputs, _carried(back, jostled, value_range))
        if pair.paired:
            truth = to_range(pair.test[1 - side], (0.0, 1.0))
            row |= {
                "truth_ssim": image_metrics.ssim(outputs, truth),
                "truth_l1": image_metrics.l1(outputs, truth),
            }
            row |= {
                "untranslated_ssim": image_metrics.ssim(inputs, truth),
                "untranslated_l1": image_metrics.l1(inputs, truth),
            }
        if judge and pair.labels:
            label = pair.labels[1 - side]
            row["recognised_as_target"] = (judge.predict(outputs) == label).double().mean().item()
            row["input_recognised_as_target"] = (judge.predict(inputs) == label).double().mean().item()
            row["real_target_recognised"] = judge.real_accuracy_by_class[label]
            found["judge_sha256"] = judge.sha256
        found[f"{source} to {target}"] = row
    return found


def reconstruct(operations: Operations, images: Tensor) -> Tensor:
    """Return images encoded and decoded again; of a distribution the mean is decoded."""

    def there_and_back(rows: Tensor) -> Tensor:
        latents = operations["encode"](rows)
        return operations["decode"](latents[0] if isinstance(latents, tuple) else latents)

    return batched(there_and_back, images)


def _carried(translate: nn.Module, images: Tensor, value_range: tuple[float, float]) -> Tensor:
    low, high = value_range
    return to_unit(batched(translate, images * (high - low) + low), value_range)
