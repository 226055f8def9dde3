"""What a recipe is: networks, their optimisers, and what one update does.

The trainer calls `update` with one batch after another and keeps the averaged weights; evaluation and
the packager use `operations`.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import JsonValue
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from training.config import Config
from training.data.datasets import Dataset
from training.networks.batch_norm import share_statistics
from training.recipes.penalties import add_l2_gradient, shrink
from training.recipes.priors import MixturePrior, PriorKind, independent
from training.runtime.distributed import average_gradients, count
from training.runtime.randomness import Randomness

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class ImageShape:
    """What the images of a run look like."""

    channels: int
    size: int
    """Side of the square images in pixels."""
    classes: tuple[str, ...]
    domains: tuple[str, str] | None = None


@dataclass(frozen=True)
class Objective:
    """What `tune` minimises on validation images: metrics of the evaluation, each times its weight, summed.

    `mse` is a metric at the top; `*.truth_l1` is the mean over all groups that have one, such as both
    directions of a translation; `by_noise.*.psnr_db` is one level deeper.
    """

    weights: Mapping[str, float]
    meaning: str
    """What it measures, and what it leaves out."""


SAMPLES_ALIKE = Objective(
    {"patch_distance": 1.0},
    "sliced Wasserstein distance of small patches of generated and of validation images; no network judges, "
    "and nothing is asked of the image as a whole",
)
"""For recipes that generate and do not reconstruct."""


class Recipe(ABC):
    """Base of all recipes.

    A subclass sets the class variables, and in its constructor fills `networks` and `averaged` (by `add`)
    and `optimizers`. Images reach `update` in `value_range`.
    """

    config_type: ClassVar[type[Config]]
    family: ClassVar[str]
    title: ClassVar[str]
    value_range: tuple[float, float] = (-1.0, 1.0)
    translates: ClassVar[bool] = False
    """Whether it learns from two domains; otherwise from images with class indices."""
    learns_from_pairs: ClassVar[bool] = False
    """Whether the two images of a translation's batch at one place are the same thing in either domain."""
    conditional: ClassVar[bool] = False
    """Whether `generate` takes a class."""
    objectives: ClassVar[tuple[Objective, ...]] = (
        Objective(
            {"mse": 1.0}, "mean squared error of reconstructions, pixels in [0, 1]; nothing of samples"
        ),
    )
    """What settings are searched by: the first whose metrics the evaluation of the data has."""

    def __init__(self, config: Config, shape: ImageShape, device: torch.device) -> None:
        self._l1, self._l2 = config.l1_penalty, config.l2_penalty
        self.shape = shape
        self.device = device
        self.progress = 0.0
        """The share of the run that is done, set by the trainer before every update."""
        self.latent_dim = 0
        """The length of one latent, 0 where there is none."""
        self.latent_noise: PriorKind = "normal"
        """What the numbers of a latent are drawn from, each by itself."""
        self.null_label: str | None = None
        """What asks a conditional recipe for an image of any class, by the index after the last class."""
        self.prior: MixturePrior | None = None
        """What `generate` draws whole latents from instead."""
        self.networks: dict[str, nn.Module] = {}
        self.averaged: dict[str, nn.Module] = {}
        self.optimizers: dict[str, Optimizer] = {}

    @abstractmethod
    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:
        """Make one update and return its losses, scalars without gradient.

        Args:
            first: images (N, C, size, size), of domain a where the recipe translates.
            second: class indices (N,), or images of domain b.
            random: this update's random numbers.
        """

    @abstractmethod
    def operations(self) -> dict[str, nn.Module]:
        """Return what is served, by graph key (`encode`, `translate.boots`), from the averaged weights.

        encode: images -> latents, or (latents, logvar); decode: latents -> images; generate: latents and
        (N,) labels -> images; translate: images -> images.
        """

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Return latents to generate from, (count, latent_dim)."""
        noise = independent(self.latent_noise, (count, self.latent_dim), random)
        if self.prior is None:
            return noise.to(self.device)
        uniform = torch.rand(count, generator=random)
        return self.prior(noise.to(self.device), uniform.to(self.device))

    @property
    def draws_normally(self) -> bool:
        """Return whether latents are drawn from N(0, I)."""
        return self.prior is None and self.latent_noise == "normal"

    @property
    def domains(self) -> tuple[str, str] | None:
        """Return what `translate` goes between, None where there is no such operation."""
        return self.shape.domains

    def learning_rate_factor(self) -> float:
        """Return what the learning rates are multiplied by now: a cosine over the run, from 1 to 0."""
        return 0.5 * (1 + math.cos(math.pi * self.progress))

    def finish(self, dataset: Dataset) -> None:  # noqa: B027 - most recipes have nothing left to do
        """Do what is left once training is over, with the training images."""

    def sheet_images(self, dataset: Dataset) -> Tensor | None:  # noqa: ARG002 - the default ones suit most recipes
        """Return what its sheet shows, (N, C, size, size) in [0, 1] in rows of 6, or None for the default."""
        return None

    def metrics(self, dataset: Dataset) -> dict[str, JsonValue]:  # noqa: ARG002 - most recipes have none
        """Return metrics on the test images that only this recipe has, beside what its operations give."""
        return {}

    def memory(self) -> dict[str, Tensor]:
        """Return what else must survive a resume; `recall` takes it back."""
        return {}

    def recall(self, memory: dict[str, Tensor]) -> None:  # noqa: B027 - most recipes keep nothing
        """Take back what `memory` returned."""

    def step(self, name: str, loss: Tensor, clip: float | None = None) -> None:
        """Make one step of the named optimiser down the gradient of `loss` and of the penalties on weights.

        A gradient whose norm over all parameters is above `clip` is scaled down to it.
        """
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        loss.backward()
        average_gradients(p for group in optimizer.param_groups for p in group["params"])
        if self._l2:
            add_l2_gradient(optimizer, self.networks.values(), self._l2)
        if clip is not None:
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
        optimizer.step()
        if self._l1:
            shrink(optimizer, self.networks.values(), self._l1)

    def adamw(self, config: Config, *names: str, betas: tuple[float, float] = (0.9, 0.999)) -> AdamW:
        """Return AdamW over the parameters of the named networks, of all where none is named."""
        parameters = [p for name in names or self.networks for p in self.networks[name].parameters()]
        rate, decay = config.learning_rate, config.weight_decay
        return AdamW(parameters, lr=rate, betas=betas, weight_decay=decay, fused=True)

    def add(self, name: str, network: nn.Module, averaged: bool) -> nn.Module:
        """Register a network, with a slowly moving average of its weights if it will be served.

        Weights lie with their channels last, which convolutions on a processor want.
        """
        self.networks[name] = network.to(self.device).to(memory_format=torch.channels_last)
        if averaged:
            self.averaged[name] = copy.deepcopy(network).eval().requires_grad_(False)
        if count() > 1:
            share_statistics(network)
        return self.networks[name]


class TranslationRecipe(Recipe):
    """Base of recipes that learn two translators, registered as `a_to_b` and `b_to_a`."""

    translates = True
    objectives = (
        Objective(
            {"*.truth_l1": 1.0}, "mean absolute difference from the true pair, mean of both directions"
        ),
        Objective(
            {"*.round_trip_l1_after_noise": 1.0, "*.recognised_as_target": -1.0},
            "mean absolute error of the round trip less the share that a judge takes for the target, mean of "
            "both directions: neither changing nothing nor making one image of all does well; variety is "
            "only measured by the round trip",
        ),
    )

    def learning_rate_factor(self) -> float:
        """Return 1 for the first half, then a straight line to 0."""
        return min(1.0, 2 * (1 - self.progress))

    def operations(self) -> dict[str, nn.Module]:
        assert self.shape.domains is not None
        a, b = self.shape.domains
        return {f"translate.{b}": self.averaged["a_to_b"], f"translate.{a}": self.averaged["b_to_a"]}


def detached(**losses: Tensor) -> Losses:
    """Return the losses by name, cut from the graph."""
    return {name: loss.detach() for name, loss in losses.items()}
