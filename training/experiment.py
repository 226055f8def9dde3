"""From what a run was asked to do to its living parts: data, recipe, feed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from training.config import Config
from training.data import DATASETS, DataError, Dataset
from training.domains import DomainPair, dataset_of, domain_pair
from training.feed import DomainFeed, Feed, LabelledFeed
from training.folders import image_folder
from training.recipes import RECIPES
from training.recipes.recipe import ImageShape, Recipe
from training.run import Run, RunError, RunRecord

DEFAULT_SIZE = 28


def load_dataset(
    data: str, path: str | None, size: int | None, channels: int | None, say: Callable[[str], None]
) -> Dataset:
    """Return the data set called `data`, or the folder of pictures at that path.

    Raises:
        DataError: it cannot be had.
    """
    if data in DATASETS:
        if size is not None or channels is not None:
            raise DataError(f"--size and --channels are for folders; {data} is 28 pixels and grey")
        return DATASETS[data](Path(path) if path else None)
    if not Path(data).exists():
        raise DataError(f"--data {data!r} is neither a folder nor one of {', '.join(DATASETS)}")
    return image_folder(Path(data), size or DEFAULT_SIZE, channels, say)


def load_data(record: RunRecord, config: Config, say: Callable[[str], None]) -> Dataset | DomainPair:
    """Return the images of a run, as its recipe wants them.

    Raises:
        DataError: they cannot be had, or do not suit the recipe.
    """
    dataset = load_dataset(record.data, record.path, record.size, record.channels, say).hold_out(
        config.holdout
    )
    if RECIPES[record.recipe].translates:
        pair = domain_pair(dataset, record.pair)
        return pair.matched() if RECIPES[record.recipe].learns_from_pairs else pair
    if record.pair is not None:
        raise DataError(f"--pair is for recipes that translate; {record.recipe} does not")
    if RECIPES[record.recipe].conditional and len(dataset.classes) < 2:
        raise DataError(
            f"{record.recipe} learns from classes and {record.data} has only one ({dataset.classes[0]!r}): "
            "put the pictures of each class into a sub-folder of its own"
        )
    return dataset


def build(name: str, config: Config, data: Dataset | DomainPair, device: torch.device) -> Recipe:
    """Return the untrained recipe called `name`; its first weights depend on the seed alone."""
    dataset = dataset_of(data)
    domains = data.domains if isinstance(data, DomainPair) else None
    torch.manual_seed(config.seed)
    shape = ImageShape(dataset.channels, dataset.size, dataset.classes, domains)
    return RECIPES[name](config, shape, device)


def feed_of(data: Dataset | DomainPair, config: Config, recipe: Recipe) -> Feed:
    """Return the source of batches."""
    if isinstance(data, DomainPair):
        return DomainFeed(data, config.batch_size, config.seed, recipe.value_range, recipe.device)
    return LabelledFeed(data, config.batch_size, config.seed, recipe.value_range, recipe.device)


def config_of(record: RunRecord) -> Config:
    """Return the typed config of a run."""
    return RECIPES[record.recipe].config_type.model_validate(record.config)


def same_run(old: RunRecord, new: RunRecord) -> None:
    """Refuse to resume a run that was asked something else; a setting it did not know has its default.

    Raises:
        RunError: it was; the message says what.
    """
    old = old.model_copy(update={"config": config_of(old).model_dump(mode="json")})
    for name in RunRecord.model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if name == "config" and before != after:
            changed = sorted(key for key in after if before.get(key) != after[key])
            raise RunError(
                f"cannot resume {old.name} with another config: "
                + ", ".join(f"{key} was {before.get(key)}, is {after[key]}" for key in changed)
            )
        if before != after:
            what = (
                "the data has changed since"
                if name == "data_sha256"
                else f"its {name} was {before}, not {after}"
            )
            raise RunError(f"cannot resume {old.name}: {what}")


def load_averages(folder: Path, recipe: Recipe) -> None:
    """Give `recipe` the averaged weights of a run folder or of a checkpoint folder.

    Raises:
        RunError: there are none, or they belong to other networks.
    """
    packaged = folder / "weights.safetensors"
    if packaged.is_file():
        flat = load_file(packaged)
        weights = {
            name: {
                key.removeprefix(f"{name}."): value
                for key, value in flat.items()
                if key.startswith(f"{name}.")
            }
            for name in recipe.averaged
        }
    else:
        state = Run(folder).load(recipe.device)
        if state is None:
            raise RunError(f"the run in {folder} has not saved anything yet")
        weights = state["averaged"]
    try:
        for name, network in recipe.averaged.items():
            network.load_state_dict(weights[name])
    except (KeyError, RuntimeError):
        raise RunError(f"the weights in {folder} belong to other networks") from None
