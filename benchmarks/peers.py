"""Trains another project's VAE on our data for a given number of processor seconds.

    python -m benchmarks.peers images pythae --seconds 900
    python -m benchmarks.peers likelihood pythae --seconds 900

Run by an interpreter that has that project (see README.md). What the judge needs goes to `runs/peers/`:
of images reconstructions and samples, of the likelihood the weights of a network written in this package.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.budget import BATCH, CHUNK, NETWORKS, PEERS, Settings, Trained
from training.data.datasets import Dataset, fashion_mnist


def main() -> None:
    """Train one peer and write what the judge needs."""
    settings = read_settings()
    try:
        module = import_module(f"benchmarks.{settings.peer.replace('-', '_')}")
    except ModuleNotFoundError as error:
        raise SystemExit(f"there is no {error.name} here: see benchmarks/README.md") from None
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    dataset = fashion_mnist()
    trained: Trained = getattr(module, settings.kind)(settings, dataset)
    folder = PEERS / settings.kind / settings.name
    folder.mkdir(parents=True, exist_ok=True)
    if settings.kind == "images":
        write_images(folder, trained, settings, dataset)
    else:
        torch.save(trained.network.state_dict(), folder / "weights.pt")
    record = {
        **asdict(settings),
        "data_sha256": dataset.sha256,
        "description": trained.description,
        "parameters": sum(p.numel() for p in trained.network.parameters()),
        "used_s": trained.used_s,
        "updates": trained.budget.updates,
        "images_seen": trained.budget.updates * BATCH,
    }
    (folder / "peer.json").write_text(json.dumps(record, indent=2))
    print(json.dumps(record, indent=2))  # noqa: T201 - the command's output


def read_settings() -> Settings:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Train a peer.")
    parser.add_argument("kind", choices=("images", "likelihood"))
    parser.add_argument("peer", choices=("pythae", "pytorch-examples"))
    parser.add_argument("--seconds", type=float, required=True, help="of processor time")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of Adam (default: 0.001)")
    parser.add_argument("--latent-dim", type=int, help="(default: 16 for images, 40 for the likelihood)")
    parser.add_argument("--width", type=int, help="of our network (default: 32, for the likelihood 16)")
    parser.add_argument("--loss", choices=("mse", "bce"), default="mse", help="pythae's, for images")
    parser.add_argument(
        "--network", choices=NETWORKS, default="benchmark", help="pythae's, for images (default: benchmark)"
    )
    parser.add_argument("--name", help="of the folder (default: the peer's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--sample-seeds", type=int, default=5)
    given = vars(parser.parse_args())
    given["latent_dim"] = given["latent_dim"] or {"images": 16, "likelihood": 40}[given["kind"]]
    given["width"] = given["width"] or {"images": 32, "likelihood": 16}[given["kind"]]
    given["name"] = given["name"] or given["peer"]
    return Settings(**given)


@torch.no_grad()
def write_images(folder: Path, trained: Trained, settings: Settings, dataset: Dataset) -> None:
    """Write the test images' reconstructions and the samples, float16 (N, 1, 28, 28) in [0, 1]."""
    test = dataset.test.unit()
    rebuilt = torch.cat([trained.decode(trained.encode(chunk)) for chunk in test.split(CHUNK)])
    np.save(folder / "reconstructions.npy", _half(rebuilt))
    for name, sample in trained.priors.items():
        drawn = [_half(sample(settings.samples, seed)) for seed in range(settings.sample_seeds)]
        np.savez(folder / f"samples from {name.replace('/', ' ')}.npz", *drawn)


def _half(images: Tensor) -> np.ndarray:
    return images.view(-1, 1, 28, 28).clamp(0, 1).half().numpy()


if __name__ == "__main__":
    main()
