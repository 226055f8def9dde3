"""Train every recipe for a few updates, as one process or as several, and keep what came of it.

torchrun --nproc-per-node 2 tests/support/training/all_recipes.py FOLDER leaves FOLDER/0.pt and FOLDER/1.pt,
what either process has in the end.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from support.fashion_subset import FASHION
from support.training.trainers import BATCH, trainer_of
from training.data.datasets import fashion_mnist
from training.recipes import RECIPES
from training.runs.trainer import Trainer
from training.runtime import devices, distributed

UPDATES = 6
HALFWAY = 3
EPS = 0.1
"""Of Adam: with 1e-8 it makes a whole step of a gradient that is zero but for rounding."""
RUNS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in RECIPES} | {
    "bfloat16": ("vae", {"precision": "bfloat16"}),
    "penalised": ("vae", {"l1_penalty": 1e-3, "l2_penalty": 1e-2}),
    "cauchy": ("denoiser", {"noise": "cauchy"}),
}
RESUMED = ("vae", "cyclegan")
"""Runs that another number of processes goes on with."""


def prepared(run: str, folder: Path) -> Trainer:
    """Return the trainer of one run."""
    name, settings = RUNS[run]
    trainer = trainer_of(name, fashion_mnist(FASHION), folder, updates=UPDATES, **settings)
    for optimizer in trainer.recipe.optimizers.values():
        for group in optimizer.param_groups:
            group["eps"] = EPS
    return trainer


def found(trainer: Trainer) -> dict[str, Any]:
    """Train to the end, saving halfway, and return weights before and after, losses and memory."""
    before = weights(trainer)
    while trainer.update < UPDATES:
        trainer._one_update()
        if trainer.update == HALFWAY:
            trainer.save()
    return {
        "before": before,
        "after": weights(trainer),
        "losses": trainer._means(),
        "memory": trainer.recipe.memory(),
    }


def weights(trainer: Trainer) -> dict[str, dict[str, Tensor]]:
    """Return copies of the weights and buffers of every network and every average."""
    return {
        f"{kind} {name}": {key: value.detach().clone() for key, value in network.state_dict().items()}
        for kind in ("networks", "averaged")
        for name, network in getattr(trainer.recipe, kind).items()
    }


def main(folder: Path) -> None:
    """Train all runs, and go on with those that one process has left under FOLDER/halfway."""
    torch.set_num_threads(1)
    devices.join("cpu", BATCH)
    rank = distributed.rank()
    results = {run: found(prepared(run, folder / run / str(rank))) for run in RUNS}
    for run in RESUMED:
        trainer = prepared(run, folder / "halfway" / run / str(rank))
        trainer.resume()
        results[f"{run} resumed"] = found(trainer)
    torch.save(results, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
