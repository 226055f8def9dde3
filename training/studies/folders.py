"""CycleGAN and DiscoGAN on two folders of images, as one would bring one's own.

The folders are written from images that come with scikit-learn: small grey digits, and pieces of two colour
photographs. From there on everything goes the way of `python -m training fit --data <folder>`: images are
read and fitted, one in ten is kept for judging, the trainer trains.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydantic import JsonValue
from rich.console import Console

from training.config import Config
from training.data.domain_pairs import DomainPair, domain_pair
from training.data.image_folder import image_folder
from training.evaluation.evaluate import evaluate_translation
from training.evaluation.sample_sheets import png_file, sheet
from training.recipes import RECIPES
from training.recipes.base import Recipe
from training.runs.setup import batches_of, build
from training.runs.trainer import Trainer
from training.runtime.devices import fastest
from training.runtime.progress import Progress
from training.runtime.randomness import generator
from training.runtime.run_folder import Run
from training.studies.findings import Cell, Findings, Plot, Table

PIECES, SIDE = 400, 96
"""Pieces of each photograph, and their side in pixels."""
MEASURES = (
    "recognised_as_target",
    "change_ssim",
    "round_trip_l1",
    "round_trip_l1_after_noise",
    "round_trip_retrieval",
)
QUIET = Console(quiet=True)


@dataclass(frozen=True)
class Folders:
    """Two folders of images and how they are read."""

    name: str
    write: Callable[[Path], None]
    """Fills a folder with two sub-folders."""
    size: int
    settings: dict[str, dict[str, JsonValue]]
    """Of every recipe."""


def run() -> Findings:
    """Train both recipes on every pair of folders."""
    rows: list[tuple[Cell, ...]] = []
    plots = []
    for folders in PAIRS:
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent, folders.name)
            folders.write(folder)
            pair = domain_pair(image_folder(folder, folders.size, None, lambda _: None), None)
            for name, settings in folders.settings.items():
                config = RECIPES[name].config_type.model_validate(settings)
                recipe = trained(name, config, pair, Run(Path(parent, name)))
                rows += metric_rows(f"{recipe.title}, {folders.name}", recipe, pair)
                plots.append(sheet_plot(f"{recipe.title}, {folders.name}", recipe, pair))
    table = Table(
        title="Both directions of every pair of folders",
        note="On the images kept back. A classifier of the images recognises the target; change is "
        "1 - SSIM to the input, 0 where nothing was changed; round trips as mean absolute error, the noisy "
        "one after rounding to 8 bits and a little noise, where hidden messages are lost; retrieval is how "
        "often the input is the nearest to what came back. Short runs: they show that the way is open, not "
        "how far it goes. Pieces of one photograph overlap, so those kept back are not all new.",
        columns=("system", "direction", "images", "size", *(name.replace("_", " ") for name in MEASURES)),
        rows=tuple(rows),
    )
    return Findings(
        title="Two folders of one's own",
        question="Do CycleGAN and DiscoGAN translate between two folders of images, grey or colour, "
        "28 or 64 pixels?",
        parts=(table, *plots),
    )


def write_digits(folder: Path) -> None:
    """Write scikit-learn's zeros and ones, grey, 8x8."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for label, name in enumerate(("zeros", "ones")):
        members = digits.images[digits.target == label]
        _save(folder / name, [(image * 255 / 16).astype(np.uint8) for image in members])


def write_pieces(folder: Path) -> None:
    """Write pieces, drawn by a fixed seed, of scikit-learn's photographs of a temple and of a flower."""
    from sklearn.datasets import load_sample_images

    for name, photograph in zip(("temple", "flower"), load_sample_images().images, strict=True):
        random = generator(0, f"pieces of {name}")
        reach = torch.tensor(photograph.shape[:2]) - SIDE
        corners = (torch.rand((PIECES, 2), generator=random) * reach).int().tolist()
        _save(folder / name, [photograph[top : top + SIDE, left : left + SIDE] for top, left in corners])


def trained(name: str, config: Config, pair: DomainPair, run: Run) -> Recipe:
    """Return a recipe after the run that its config describes."""
    with torch.random.fork_rng(devices=[]):
        recipe = build(name, config, pair, torch.device("cpu"))
    run.folder.mkdir(parents=True)
    with Progress(QUIET, config.batch_size) as progress:
        Trainer(recipe, config, batches_of(pair, config, recipe), run, lambda _: None, progress).train()
    return recipe


def metric_rows(name: str, recipe: Recipe, pair: DomainPair) -> list[tuple[Cell, ...]]:
    """Return a row for either direction."""
    metrics = evaluate_translation(recipe.operations(), recipe.value_range, pair, QUIET)
    directions = {way: row for way, row in metrics.items() if isinstance(row, dict)}
    return [
        (name, way, f"{row['images']}", pair.dataset.size, *(_number(row[measure]) for measure in MEASURES))
        for way, row in directions.items()
    ]


def sheet_plot(name: str, recipe: Recipe, pair: DomainPair) -> Plot:
    """Return the first images kept back, there and back again."""
    note = "Input, translation, and back again; none was chosen."
    return Plot(title=name, note=note, png=png_file(sheet(recipe, pair)))


def _save(folder: Path, images: list[np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:03d}.png")


def _number(value: JsonValue) -> float:
    assert isinstance(value, float)
    return value


PAIRS = (
    Folders(
        "grey digits",
        write_digits,
        28,
        {
            "cyclegan": {"updates": 600, "batch_size": 16, "precision": fastest("cpu")},
            "discogan": {"updates": 400, "batch_size": 32, "precision": fastest("cpu")},
        },
    ),
    Folders(
        "colour photographs",
        write_pieces,
        64,
        {
            "cyclegan": {"updates": 300, "batch_size": 16, "width": 8, "precision": fastest("cpu")},
            "discogan": {"updates": 400, "batch_size": 32, "width": 16, "precision": fastest("cpu")},
        },
    ),
)
