"""Recipes as they are before training, and batches of noise for them."""

import torch
from torch import Tensor

from training.recipes import RECIPES
from training.recipes.base import ImageShape, Recipe

CPU = torch.device("cpu")
CLASSES = ("a", "b", "c")


def made(name: str, channels: int = 1, size: int = 28, **settings: object) -> Recipe:
    kind = RECIPES[name]
    torch.manual_seed(0)
    domains = ("a", "b") if kind.translates else None
    return kind(kind.config_type.model_validate(settings), ImageShape(channels, size, CLASSES, domains), CPU)


def batch(recipe: Recipe, count: int = 8) -> tuple[Tensor, Tensor]:
    shape = (count, recipe.shape.channels, recipe.shape.size, recipe.shape.size)
    random = torch.Generator().manual_seed(1)
    images = torch.rand(shape, generator=random)
    return images, torch.rand(shape, generator=random) if recipe.translates else torch.arange(count) % 3
