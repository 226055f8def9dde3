"""Real trainers of small runs, in this process or in others that are killed."""

import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from support.fashion_subset import FASHION
from training.data.datasets import Dataset, fashion_mnist
from training.data.domain_pairs import domain_pair
from training.recipes import RECIPES
from training.runs.setup import batches_of, build
from training.runs.trainer import Trainer
from training.runtime.progress import Progress
from training.runtime.run_folder import Run, RunRecord

CPU = torch.device("cpu")
BATCH = 48
SMALL = {"width": 8, "discriminator_width": 8, "blocks": 1, "hidden": 8, "buffer": 20}
"""Settings of a recipe that has them, so that it takes little time."""


def trainer_of(
    name: str, fashion: Dataset, folder: Path, device: torch.device = CPU, **settings: object
) -> Trainer:
    """A trainer of small networks, whose passes over the data end in the middle of its run."""
    kind = RECIPES[name]
    small = {key: value for key, value in SMALL.items() if key in kind.config_type.model_fields}
    config = kind.config_type.model_validate({"batch_size": BATCH, "updates": 6, **small, **settings})
    data = domain_pair(fashion, "bags-boots") if kind.translates else fashion.hold_out(400)
    record = RunRecord(
        name="r", recipe=name, data="fashion-mnist", path=None, size=None, channels=None, pair=None,
        data_sha256="", config={},
    )  # fmt: skip
    recipe = build(record.recipe, config, data, device)
    run = Run(folder)
    run.start(record) if not (folder / "run.json").exists() else None
    progress = Progress(Console(file=io.StringIO()), config.batch_size)
    return Trainer(recipe, config, batches_of(data, config, recipe), run, lambda _: None, progress)


def train(recipe: str, folder: Path, updates: int, event_number: int | None) -> None:
    """Train on from what `folder` holds; be killed at an event, the opening or renaming of a file in it."""
    torch.set_num_threads(1)
    trainer = trainer_of(recipe, fashion_mnist(FASHION), folder, updates=updates)
    trainer.resume()
    count = 0

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in ("open", "os.rename") and str(arguments[0]).startswith(str(folder)):
            count += 1
            if count == event_number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    trainer.train()
