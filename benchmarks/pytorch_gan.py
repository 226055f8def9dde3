"""Runs a script of PyTorch-GAN as it is, on Fashion-MNIST and for a given number of processor seconds.

    python -m benchmarks.pytorch_gan PyTorch-GAN/implementations/dcgan/dcgan.py --seconds 900

The script is executed, not changed: its `datasets.MNIST` is Fashion-MNIST, and its data loader ends the
training once the time is spent. What is left in its variables draws samples, which go to `runs/peers/gans/`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.utils import data
from torchvision import datasets

from benchmarks.budget import Budget, Spent
from benchmarks.generated import write
from benchmarks.stand_in import BudgetLoader, StandIn
from training.data.datasets import Dataset, fashion_mnist


def main() -> None:
    """Train the script's networks and write what they generate."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pytorch_gan", description="Train a peer.")
    parser.add_argument("script", type=Path)
    parser.add_argument("--seconds", type=float, required=True, help="of processor time of one thread")
    options = parser.parse_args()
    if not options.script.is_file():
        parser.error(f"there is no {options.script}")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)
    dataset = fashion_mnist()
    budget = Budget(options.seconds)
    variables = run(options.script.resolve(), budget, dataset)
    asked = {name: value for name, value in vars(variables["opt"]).items() if name != "n_epochs"}
    name = f"PyTorch-GAN {options.script.stem}"
    write(name, variables["generator"], asked["latent_dim"], budget, dataset, asked)


def run(script: Path, budget: Budget, dataset: Dataset) -> dict[str, Any]:
    """Execute a script until its time is spent; return its variables."""

    class Loader(BudgetLoader):
        pass

    Loader.budget = budget

    def stand_in(*_: object, transform: Any, **__: object) -> StandIn:
        return StandIn(dataset, transform)

    variables: dict[str, Any] = {"__name__": "__main__"}
    here = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(datasets, "MNIST", stand_in),
        mock.patch.object(data, "DataLoader", Loader),
        mock.patch.object(sys, "argv", [str(script)]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.suppress(Spent),
    ):
        inside = Path(folder, "a", "b")
        inside.mkdir(parents=True)
        os.chdir(inside)
        try:
            exec(compile(script.read_text(), script, "exec"), variables)  # noqa: S102 - a script one chose
        finally:
            os.chdir(here)
    return variables


if __name__ == "__main__":
    main()
