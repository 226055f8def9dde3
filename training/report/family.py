"""The report's own runs: what `python -m training report --train` trains, and the targets set for them.

A run of several seeds has the member's name for the first of them and `<name>-seed-<n>` for the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Target:
    """What a figure of the test images should reach, as set before anything was trained."""

    figure: str
    """A key of the run's metrics."""
    bound: Literal["at most", "at least"]
    value: float

    def met(self, measured: float) -> bool:
        """Return whether `measured` reaches it."""
        return measured <= self.value if self.bound == "at most" else measured >= self.value


@dataclass(frozen=True)
class Member:
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


_TWICE = ("--learning-rate", "2e-3", "--precision", "bfloat16", "--threads", "1")
_NARROW = ("--width", "24", *_TWICE)

FAMILY = (
    Member(
        "linear-16",
        "linear",
        ("--latent-dim", "16", "--epochs", "250", "--batch-size", "1000", "--learning-rate", "4e-3"),
        targets=(
            Target("unclipped_mse_over_pca", "at most", 1.001),
            Target("largest_principal_angle_deg", "at most", 1.0),
        ),
    ),
    Member(
        "fashion-ae-2d",
        "autoencoder",
        ("--latent-dim", "2", "--hidden", "128", "--width", "16", "--epochs", "20", *_TWICE),
        targets=(_over_pca(0.52),),
    ),
    Member(
        "autoencoder-16",
        "autoencoder",
        ("--latent-dim", "16", "--epochs", "12", *_TWICE),
        seeds=(0, 1, 2),
        targets=(_over_pca(0.41), _neighbours(0.875)),
    ),
    Member(
        "autoencoder-32",
        "autoencoder",
        ("--latent-dim", "32", "--epochs", "12", *_NARROW),
        targets=(_over_pca(0.44), _neighbours(0.88)),
    ),
    Member(
        "autoencoder-64",
        "autoencoder",
        ("--latent-dim", "64", "--epochs", "10", *_NARROW),
        targets=(_over_pca(0.48),),
    ),
    Member("sparse", "sparse", ("--epochs", "6", *_TWICE)),
    Member("fashion-denoiser", "denoiser", ("--latent-dim", "48", "--epochs", "8", *_NARROW)),
    Member(
        "fashion-vae",
        "vae",
        ("--epochs", "14", "--precision", "bfloat16", "--threads", "1"),
        seeds=(0, 1, 2),
        targets=(_over_pca(0.43), _neighbours(0.87)),
    ),
    Member("likelihood-vae", "likelihood-vae", ("--epochs", "16", *_TWICE)),
    Member("wae", "wae", ("--width", "24", "--epochs", "6", "--precision", "bfloat16", "--threads", "1")),
    Member(
        "digits-autoencoder", "autoencoder", ("--data", "digits", "--latent-dim", "16", "--updates", "1000")
    ),
    Member("digits-ae-2d", "autoencoder", ("--data", "digits", "--latent-dim", "2", "--updates", "1000")),
)
