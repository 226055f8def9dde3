"""The settings that every recipe has; each recipe adds its own fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_PASSES = 300
"""A run whose length was not given in epochs sees no image more often than this."""


@dataclass(frozen=True)
class LogUniform:
    """Where `tune` searches a field: between two positive numbers, evenly in their logarithm."""

    low: float
    high: float


@dataclass(frozen=True)
class OneOf:
    """Where `tune` searches a field: among these values."""

    values: tuple[float, ...]


LearningRate = Annotated[float, Field(gt=0), LogUniform(1e-4, 1e-2)]
BatchSize = Annotated[int, Field(ge=2), OneOf((32, 64, 128, 256))]
WeightDecay = Annotated[float, Field(ge=0), OneOf((0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1))]


class Config(BaseModel):
    """The settings all recipes share. Every field is a command line option of `fit`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    updates: Annotated[int, Field(ge=1)] = Field(
        7000, description="optimiser updates in the whole run; fewer where that is over 300 passes"
    )
    epochs: Annotated[int, Field(ge=1)] | None = Field(
        None, description="passes over the training images; if given, it sets the length instead of updates"
    )
    batch_size: BatchSize = Field(128, description="images per update")
    learning_rate: LearningRate = Field(1e-3, description="step size at the start")
    l1_penalty: Annotated[float, Field(ge=0)] = Field(
        0.0, description="lambda of the penalty lambda sum |w| on weights, by proximal steps"
    )
    l2_penalty: Annotated[float, Field(ge=0)] = Field(
        0.0, description="lambda of the penalty lambda/2 sum w^2 on weights, added to the gradient"
    )
    weight_decay: WeightDecay = Field(
        0.0, description="share of every parameter lost per update, times the step size; decoupled (AdamW)"
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.995, description="decay per update of the averaged weights, which are the ones judged and packaged"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="arithmetic of the networks; auto: bfloat16 where the processor has it"
    )
    holdout: Annotated[int, Field(ge=0)] = Field(
        0, description="training images kept back and judged on instead of the test set, for tuning"
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of weights, order and noise")

    def total_updates(self, images: int) -> int:
        """Return the length of a run over `images` training images, in updates."""
        passes = MAX_PASSES if self.epochs is None else self.epochs
        by_passes = max(1, -(-passes * images // self.batch_size))
        return min(self.updates, by_passes) if self.epochs is None else by_passes
