"""What a search minimises: the metrics that a recipe's objective names, out of its evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue
from rich.console import Console

from training.data.datasets import Dataset
from training.data.domain_pairs import DomainPair
from training.evaluation.evaluate import Metrics, validate
from training.recipes.base import Objective, Recipe
from training.runtime.run_folder import RunError


def judged(
    recipe: Recipe, data: Dataset | DomainPair, console: Console
) -> tuple[Objective, dict[str, float]]:
    """Return the first objective of the recipe that this data allows, and its metrics by name.

    Raises:
        RunError: it allows none.
    """
    metrics = validate(recipe, data, console)
    found = _first(recipe.objectives, metrics)
    if found is None and isinstance(data, Dataset):
        found = _first(recipe.objectives, recipe.metrics(data))
    if found is None:
        wanted = " or ".join(" with ".join(objective.weights) for objective in recipe.objectives)
        raise RunError(f"{recipe.title} is searched by {wanted}, which its evaluation lacks here")
    return found


def _first(objectives: Sequence[Objective], metrics: Metrics) -> tuple[Objective, dict[str, float]] | None:
    """Return the first objective of which all metrics are there, with them."""
    for objective in objectives:
        found = {name: numbers_at(metrics, name.split(".")) for name in objective.weights}
        if all(found.values()):
            return objective, {name: sum(values) / len(values) for name, values in found.items()}
    return None


def numbers_at(metrics: JsonValue, path: Sequence[str]) -> list[float]:
    """Return the numbers at a path of keys, `*` for every key, such as `*.round_trip_l1`."""
    if not path:
        return [float(metrics)] if isinstance(metrics, int | float) else []
    if not isinstance(metrics, dict):
        return []
    keys = list(metrics) if path[0] == "*" else [path[0]] if path[0] in metrics else []
    return [value for key in keys for value in numbers_at(metrics[key], path[1:])]
