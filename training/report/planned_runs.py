"""The report's own runs: what `python -m training report --train` trains, and the targets set for them.

A run of several seeds has the member's name for the first of them and `<name>-seed-<n>` for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Target:
    """What a metric of the test images should reach, as set before anything was trained."""

    metric: str
    """A key of the run's metrics; keys inside one another as `generation/generated/cfid`, `*` for each."""
    bound: Literal["at most", "at least"]
    value: float
    over: str = ""
    """Another metric of the run that it is divided by."""
    over_member: str = ""
    """Another member of the family, by whose metric it is divided."""

    def met(self, measured: float) -> bool:
        """Return whether `measured` reaches it."""
        return measured <= self.value if self.bound == "at most" else measured >= self.value

    def worst(self, measured: Sequence[float]) -> float:
        """Return the value that is the furthest from reaching it."""
        return max(measured) if self.bound == "at most" else min(measured)


@dataclass(frozen=True)
class PlannedRun:
    """One system of the report."""

    name: str
    recipe: str
    options: tuple[str, ...] = ()
    """As given to `python -m training fit`."""
    seeds: tuple[int, ...] = (0,)
    targets: tuple[Target, ...] = ()

    def fits(self) -> dict[str, list[str]]:
        """Return the arguments of `python -m training` for every run, by the run's name."""
        names = [
            self.name if index == 0 else f"{self.name}-seed-{seed}" for index, seed in enumerate(self.seeds)
        ]
        return {
            name: ["fit", self.recipe, *self.options, "--seed", str(seed), "--name", name, "--no-package"]
            for name, seed in zip(names, self.seeds, strict=True)
        }


def _over_pca(value: float) -> Target:
    return Target("mse_over_pca", "at most", value)


def _neighbours(value: float) -> Target:
    return Target("knn_accuracy", "at least", value)


_ONE_THREAD = ("--threads", "1")
_TWICE = ("--learning-rate", "2e-3", *_ONE_THREAD)
_NARROW = ("--width", "24", *_TWICE)
_PRESET = ("--width", "16", "--epochs", "3", *_ONE_THREAD)
_OTHER_NOISES = ("uniform", "laplace", "truncated-normal", "cauchy")
_COVERAGE = Target("generation/generated/coverage", "at least", 0.85)
_CLASSES_CHANGED = (
    Target("*/recognised_as_target", "at least", 0.95),
    Target("*/change_ssim", "at least", 0.25),
)
_RETRIEVED = Target("*/round_trip_retrieval", "at least", 0.8)

PLANNED_RUNS = (
    PlannedRun(
        "linear-16",
        "linear",
        ("--latent-dim", "16", "--epochs", "250", "--batch-size", "1000", "--learning-rate", "4e-3"),
        targets=(
            Target("unclipped_mse_over_pca", "at most", 1.001),
            Target("largest_principal_angle_deg", "at most", 1.0),
        ),
    ),
    PlannedRun(
        "fashion-ae-2d",
        "autoencoder",
        ("--latent-dim", "2", "--hidden", "128", "--width", "16", "--epochs", "20", *_TWICE),
        targets=(_over_pca(0.52),),
    ),
    PlannedRun(
        "autoencoder-16",
        "autoencoder",
        ("--latent-dim", "16", "--epochs", "12", *_TWICE),
        seeds=(0, 1, 2),
        targets=(_over_pca(0.41), _neighbours(0.875)),
    ),
    PlannedRun(
        "autoencoder-32",
        "autoencoder",
        ("--latent-dim", "32", "--epochs", "12", *_NARROW),
        targets=(_over_pca(0.44), _neighbours(0.88)),
    ),
    PlannedRun(
        "autoencoder-64",
        "autoencoder",
        ("--latent-dim", "64", "--epochs", "10", *_NARROW),
        targets=(_over_pca(0.48),),
    ),
    PlannedRun("sparse", "sparse", ("--epochs", "6", *_TWICE)),
    PlannedRun("fashion-denoiser", "denoiser", ("--latent-dim", "48", "--epochs", "8", *_NARROW)),
    PlannedRun(
        "fashion-vae",
        "vae",
        ("--epochs", "14", *_ONE_THREAD),
        seeds=(0, 1, 2),
        targets=(_over_pca(0.43), _neighbours(0.87)),
    ),
    PlannedRun("likelihood-vae", "likelihood-vae", ("--epochs", "16", *_TWICE)),
    PlannedRun("wae", "wae", ("--width", "24", "--epochs", "6", *_ONE_THREAD)),
    PlannedRun(
        "digits-autoencoder", "autoencoder", ("--data", "digits", "--latent-dim", "16", "--updates", "1000")
    ),
    PlannedRun("digits-ae-2d", "autoencoder", ("--data", "digits", "--latent-dim", "2", "--updates", "1000")),
    PlannedRun("gan", "gan", _PRESET),
    PlannedRun("gan-unit-pixels", "gan", ("--pixels", "unit", *_PRESET)),
    PlannedRun("gan-fast-generator", "gan", ("--generator-learning-rate", "8e-4", *_PRESET)),
    PlannedRun("gan-generator-steps", "gan", ("--generator-steps", "3", *_PRESET)),
    PlannedRun("gan-large-batch", "gan", ("--batch-size", "256", *_PRESET)),
    *(PlannedRun(f"gan-{noise}", "gan", ("--noise", noise, *_PRESET)) for noise in _OTHER_NOISES),
    PlannedRun("wgan-gp", "wgan-gp", ("--width", "16", "--epochs", "6", *_ONE_THREAD)),
    PlannedRun(
        "fashion-gan",
        "r3gan",
        ("--epochs", "8", *_ONE_THREAD),
        targets=(Target("cfid", "at most", 3, over="generation/training images/cfid"), _COVERAGE),
    ),
    PlannedRun(
        "fashion-cgan",
        "cgan",
        ("--null-share", "0.1", "--epochs", "20", *_ONE_THREAD),
        seeds=(0, 1, 2),
        targets=(
            Target("agreement_over_real", "at least", 1.0),
            Target("worst_class_over_real", "at least", 0.95),
            Target("gan_train_over_real", "at least", 0.95),
            _COVERAGE,
            Target("by_truncation/truncation 0.4/label_agreement", "at least", 0.98),
        ),
    ),
    PlannedRun(
        "edges-photos",
        "cyclegan",
        (
            *("--pair", "edges-photos", "--batch-size", "8", "--updates", "18000"),
            *("--cycle-weight", "1", "--half-trip-noise", "0.06", *_ONE_THREAD),
        ),
        targets=(
            Target("*/truth_ssim", "at least", 0.85, over_member="edges-photos-paired"),
            Target("*/round_trip_l1", "at most", 0.05),
            Target("*/round_trip_l1_after_noise", "at most", 1.5, over="*/round_trip_l1"),
        ),
    ),
    PlannedRun(
        "edges-photos-discogan", "discogan", ("--pair", "edges-photos", "--updates", "2000", *_ONE_THREAD)
    ),
    PlannedRun("edges-photos-paired", "paired", ("--pair", "edges-photos", *_ONE_THREAD)),
    *(
        member
        for pair, rate in (("bags-boots", "0.5"), ("sneakers-boots", "0.8"))
        for member in (
            PlannedRun(
                pair,
                "discogan",
                ("--pair", pair, "--rate", rate, *_ONE_THREAD),
                targets=(*_CLASSES_CHANGED, _RETRIEVED),
            ),
            PlannedRun(
                f"{pair}-cyclegan",
                "cyclegan",
                ("--pair", pair, "--updates", "1500", *_ONE_THREAD),
                targets=_CLASSES_CHANGED,
            ),
        )
    ),
)
