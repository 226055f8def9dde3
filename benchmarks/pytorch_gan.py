"""Runs a script of PyTorch-GAN as it is, on Fashion-MNIST and for a given number of processor seconds.

    python -m benchmarks.pytorch_gan PyTorch-GAN/implementations/dcgan/dcgan.py --seconds 900

The script is executed, not changed: its `datasets.MNIST` is Fashion-MNIST, and its data loader ends the
training once the time is spent. What is left in its variables draws samples, which go to `runs/peers/gans/`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import data
from torchvision import datasets

from benchmarks.budget import CHUNK, PEERS, Budget, Spent
from training.data import Dataset, fashion_mnist

SIZE = 28


class Stand(data.Dataset[tuple[Any, int]]):
    """Fashion-MNIST where a script asks for torchvision's MNIST."""

    def __init__(self, dataset: Dataset, transform: Any) -> None:
        self.pixels, self.labels = dataset.train.pixels[:, 0].numpy(), dataset.train.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        """Return the number of training images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return an image as the script transforms it, and its class."""
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def main() -> None:
    """Train the script's networks and write what they generate."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pytorch_gan", description="Train a peer.")
    parser.add_argument("script", type=Path)
    parser.add_argument("--seconds", type=float, required=True, help="of processor time of one thread")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--sample-seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)
    dataset = fashion_mnist()
    variables, budget = run(options.script.resolve(), options.seconds, dataset)
    network: nn.Module = variables["generator"]
    latent_dim: int = variables["opt"].latent_dim
    folder = PEERS / "gans" / options.script.stem
    folder.mkdir(parents=True, exist_ok=True)
    for name, mode in (("batch statistics", True), ("running statistics", False)):
        network.train(mode)
        drawn = [sample(network, latent_dim, options.samples, seed) for seed in range(options.sample_seeds)]
        np.savez(folder / f"samples with {name}.npz", *drawn)
    record = {
        "name": f"PyTorch-GAN {options.script.stem}",
        "data_sha256": dataset.sha256,
        "options": {name: value for name, value in vars(variables["opt"]).items() if name != "n_epochs"},
        "parameters": sum(p.numel() for p in network.parameters()),
        "used_s": budget.used_s,
        "batches": budget.updates,
    }
    (folder / "peer.json").write_text(json.dumps(record, indent=2))
    print(json.dumps(record, indent=2))  # noqa: T201 - the command's output


def run(script: Path, seconds: float, dataset: Dataset) -> tuple[dict[str, Any], Budget]:
    """Execute a script until its time is spent; return its variables."""
    budget = Budget(seconds)

    class Loader(data.DataLoader[Any]):
        def __iter__(self) -> Iterator[Any]:  # type: ignore[override] - a generator will do
            for batch in super().__iter__():
                yield batch
                budget.spend()

    def stand(*_: object, transform: Any, **__: object) -> Stand:
        return Stand(dataset, transform)

    variables: dict[str, Any] = {"__name__": "__main__"}
    here = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(datasets, "MNIST", stand),
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
    return variables, budget


@torch.no_grad()
def sample(network: nn.Module, latent_dim: int, count: int, seed: int) -> np.ndarray[Any, Any]:
    """Return samples, float16 (count, 1, 28, 28) in [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    latents = torch.randn((count, latent_dim), generator=random)
    images: Tensor = torch.cat([network(chunk) for chunk in latents.split(CHUNK)])
    images = images.view(count, 1, *images.shape[-2:])
    if images.shape[-1] != SIZE:
        images = F.interpolate(images, size=(SIZE, SIZE), mode="bilinear", antialias=True)
    return ((images + 1) / 2).clamp(0, 1).half().numpy()


if __name__ == "__main__":
    main()
