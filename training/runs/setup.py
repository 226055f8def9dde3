"""From what a run was asked to do to its living parts: data, recipe, feed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from pydantic import ValidationError

from training.config import Config
from training.data.batches import BatchSource, DomainBatches, LabelledBatches
from training.data.datasets import DATASETS, DataError, Dataset
from training.data.domain_pairs import DomainPair, check_paired, dataset_of, domain_pair, domains_of
from training.data.image_folder import classes_of, image_folder, name_of
from training.recipes import RECIPES
from training.recipes.base import ImageShape, Recipe
from training.runtime.run_folder import RunError, RunRecord

DEFAULT_SIZE = 28


def shape_of(record: RunRecord) -> ImageShape:
    """Return what the images of a run look like, as far as it is known before any of them is read.

    Raises:
        DataError: they cannot be loaded, or do not suit the recipe.
    """
    classes, kind = _classes(record), RECIPES[record.recipe]
    if not kind.translates and record.pair is not None:
        raise DataError(f"--pair is for recipes that translate; {record.recipe} does not")
    if kind.conditional and len(classes) < 2:
        raise DataError(
            f"{record.recipe} learns from classes and {record.data} has only one ({classes[0]!r}): "
            "put the images of each class into a sub-folder of its own"
        )
    domains = _domains(record, classes) if kind.translates else None
    return ImageShape(record.channels or 1, record.size or DEFAULT_SIZE, classes, domains)


def _classes(record: RunRecord) -> tuple[str, ...]:
    if record.data in DATASETS:
        if record.size is not None or record.channels is not None:
            raise DataError(f"--size and --channels are for folders; {record.data} is 28 pixels and grey")
        return DATASETS[record.data].classes
    if not Path(record.data).exists():
        raise DataError(f"--data {record.data!r} is neither a folder nor one of {', '.join(DATASETS)}")
    return classes_of(Path(record.data))


def _domains(record: RunRecord, classes: tuple[str, ...]) -> tuple[str, str]:
    name = record.data if record.data in DATASETS else name_of(Path(record.data))
    domains, labels = domains_of(name, classes, record.pair)
    if RECIPES[record.recipe].learns_from_pairs:
        check_paired(domains, labels)
    return domains


def load_data(record: RunRecord, config: Config, log: Callable[[str], None]) -> Dataset | DomainPair:
    """Return the images of a run, as its recipe wants them.

    Raises:
        DataError: they cannot be loaded, or do not suit the recipe.
    """
    shape_of(record)  # refuses what it can before any image is read
    if record.data in DATASETS:
        dataset = DATASETS[record.data].load(Path(record.path) if record.path else None)
    else:
        dataset = image_folder(Path(record.data), record.size or DEFAULT_SIZE, record.channels, log)
    dataset = dataset.hold_out(config.holdout)
    if not RECIPES[record.recipe].translates:
        return dataset
    pair = domain_pair(dataset, record.pair)
    return pair.matched() if RECIPES[record.recipe].learns_from_pairs else pair


def sketch(record: RunRecord, config: Config) -> Recipe:
    """Return the recipe of a run before its images are read: it shows what is offered and what is refused.

    Raises:
        DataError, ValueError: the recipe cannot be made of these images, or with these settings.
    """
    return _made(record.recipe, config, shape_of(record), torch.device("cpu"))


def build(name: str, config: Config, data: Dataset | DomainPair, device: torch.device) -> Recipe:
    """Return the untrained recipe called `name`; its first weights depend on the seed alone."""
    dataset = dataset_of(data)
    domains = data.domains if isinstance(data, DomainPair) else None
    return _made(name, config, ImageShape(dataset.channels, dataset.size, dataset.classes, domains), device)


def _made(name: str, config: Config, shape: ImageShape, device: torch.device) -> Recipe:
    torch.manual_seed(config.seed)
    return RECIPES[name](config, shape, device)


def batches_of(data: Dataset | DomainPair, config: Config, recipe: Recipe) -> BatchSource:
    """Return the source of batches."""
    if isinstance(data, DomainPair):
        return DomainBatches(data, config.batch_size, config.seed, recipe.value_range, recipe.device)
    return LabelledBatches(data, config.batch_size, config.seed, recipe.value_range, recipe.device)


def config_of(record: RunRecord) -> Config:
    """Return the typed config of a run.

    Raises:
        RunError: another version made the run.
    """
    if record.recipe not in RECIPES:
        raise RunError(f"there is no recipe {record.recipe!r} any more")
    try:
        return RECIPES[record.recipe].config_type.model_validate(record.config)
    except ValidationError as error:
        setting = ".".join(map(str, error.errors()[0]["loc"]))
        raise RunError(
            f"{record.name} belongs to another version: its setting {setting!r} is unknown or not allowed"
        ) from None


def check_same(old: RunRecord, new: RunRecord) -> None:
    """Refuse to resume a run with another recipe, data or config; a setting it did not know has its default.

    Whether the data itself has changed is only known once it is read.

    Raises:
        RunError: the message names what differs.
    """
    before = config_of(old).model_dump(mode="json")
    changed = sorted(key for key, value in new.config.items() if before.get(key) != value)
    for name in RunRecord.model_fields:
        was, now = getattr(old, name), getattr(new, name)
        if name not in ("config", "data_sha256") and was != now:
            raise RunError(f"cannot resume {old.name}: its {name} was {was}, not {now}")
    if changed:
        raise RunError(
            f"cannot resume {old.name} with another config: "
            + ", ".join(f"{key} was {before.get(key)}, is {new.config[key]}" for key in changed)
        )


def check_data(old: RunRecord, new: RunRecord) -> None:
    """Refuse to resume a run on other images.

    Raises:
        RunError: they have changed.
    """
    if old.data_sha256 != new.data_sha256:
        raise RunError(f"cannot resume {old.name}: the data has changed since")
