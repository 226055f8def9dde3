"""What a peer's trained generator draws, written where the judge looks for it: `runs/peers/gans/<name>/`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.budget import CHUNK, PEERS, Budget
from training.data.datasets import Dataset

SIZE = 28
SAMPLES, SAMPLE_SEEDS = 10_000, 5


def write(
    name: str, network: nn.Module, latent_dim: int, budget: Budget, dataset: Dataset, options: dict[str, Any]
) -> None:
    """Write samples of a generator of [-1, 1], with the norms in either mode, and what it was asked.

    Args:
        name: the peer's, as tables show it; the folder is called after its last word.
        network: (N, latent_dim) from N(0, I) to images (N, 1, side, side).
        latent_dim: length of a latent.
        budget: what was spent on its training.
        dataset: what it was trained on.
        options: the peer's own settings, `batch_size` among them.
    """
    folder = PEERS / "gans" / name.rsplit(maxsplit=1)[-1]
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "name": name,
        "data_sha256": dataset.sha256,
        "options": options,
        "parameters": sum(p.numel() for p in network.parameters()),
        "used_s": budget.used_s,
        "batches": budget.updates,
    }
    for mode in (True, False):
        network.train(mode)
        drawn = [_sample(network, latent_dim, seed) for seed in range(SAMPLE_SEEDS)]
        statistics = "batch" if mode else "running"
        np.savez(folder / f"samples with {statistics} statistics.npz", *drawn)
    (folder / "peer.json").write_text(json.dumps(record, indent=2))
    print(json.dumps(record, indent=2))  # noqa: T201 - the command's output


@torch.no_grad()
def _sample(network: nn.Module, latent_dim: int, seed: int) -> np.ndarray[Any, Any]:
    """Return samples, float16 (SAMPLES, 1, 28, 28) in [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    latents = torch.randn((SAMPLES, latent_dim), generator=random)
    images: Tensor = torch.cat([network(chunk) for chunk in latents.split(CHUNK)])
    images = images.view(SAMPLES, 1, *images.shape[-2:])
    if images.shape[-1] != SIZE:
        images = F.interpolate(images, size=(SIZE, SIZE), mode="bilinear", antialias=True)
    return ((images + 1) / 2).clamp(0, 1).half().numpy()
