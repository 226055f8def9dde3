"""Prints our VAE beside the peers in `runs/peers/`, all judged by our judge.

    python -m benchmarks.vae images runs/fashion-vae
    python -m benchmarks.vae likelihood runs/likelihood-vae

What a peer scores is kept beside it.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.judging import (
    IMAGE_FIGURES,
    Figures,
    cells,
    dataset_of_run,
    figures_of_run,
    images,
    judge_samples,
    judged,
    peers_of,
    publish,
    seconds_of_run,
)
from benchmarks.networks import Ours, Perceptrons
from training.data.datasets import Dataset
from training.evaluation import representations
from training.metrics import image_metrics
from training.recipes import likelihood
from training.studies.findings import Table

LIKELIHOOD_FIGURES = (
    f"iwae_{likelihood.SAMPLES}_nats",
    f"iwae_{likelihood.SAMPLES}_standard_error",
    "elbo_nats",
    "rate_nats",
    "active_units",
)
QUESTION = "What do other projects' VAEs reach on the same data in the processor time that ours took?"


def main() -> None:
    """Print one comparison as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vae", description="Our VAE beside the peers.")
    parser.add_argument("kind", choices=("images", "likelihood"))
    parser.add_argument("run", type=Path, help="our run's folder, such as runs/fashion-vae")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = {"images": image_vaes, "likelihood": likelihoods}[options.kind](options.run)
    publish(table, QUESTION, f"peers-{options.kind}")


def image_vaes(run: Path) -> Table:
    """Return the comparison of image VAEs: reconstructions, and samples from every prior."""
    dataset, ours = dataset_of_run(run), figures_of_run(run, "rate_nats", "generation")
    lines = [
        (f"ours: {prior}", seconds_of_run(run), ours["mse"], ours["ssim"], *cells(ours["generation"][name]))
        for name, prior in (("generated", "as it generates"), ("generated from N(0, I)", "N(0, I)"))
        if name in ours["generation"]
    ]
    for folder, peer in peers_of("images", dataset):
        found = judged(folder, partial(_judge_images, folder, dataset))
        lines += [
            (f"{peer['name']}: {prior}", peer["used_s"], found["mse"], found["ssim"], *cells(row))
            for prior, row in found["generation"].items()
        ]
    for name, row in ours["generation"].items():
        if not name.startswith("generated"):
            lines.append((name, "", "", "", *cells(row)))
    columns = ("system", "processor s", "mse", "ssim", *(name.replace("_", " ") for name in IMAGE_FIGURES))
    return Table(title="Image VAEs", columns=columns, rows=tuple(lines), note=_note("images", dataset))


def likelihoods(run: Path) -> Table:
    """Return the comparison of likelihood VAEs: the importance-weighted bound on binarised test images."""
    dataset, ours = dataset_of_run(run), figures_of_run(run, "likelihood_images", *LIKELIHOOD_FIGURES)
    scored = [("ours", seconds_of_run(run), ours)]
    for folder, peer in peers_of("likelihood", dataset):
        judge = partial(_judge_likelihood, folder, dataset)
        scored.append((peer["name"], peer["used_s"], judged(folder, judge)))
    columns = ("system", "processor s", *(name.replace("_", " ") for name in LIKELIHOOD_FIGURES))
    lines = tuple((name, used, *(row[key] for key in LIKELIHOOD_FIGURES)) for name, used, row in scored)
    note = f"{ours['likelihood_images']} test images, binarised once. {_note('likelihood', dataset)}"
    return Table(title="VAEs of binarised images", columns=columns, rows=lines, note=note)


def _judge_images(folder: Path, dataset: Dataset) -> Figures:
    test = dataset.test.unit()
    rebuilt = images(np.load(folder / "reconstructions.npy"))
    return {
        "mse": image_metrics.mse(rebuilt, test),
        "ssim": image_metrics.ssim(rebuilt, test),
        "generation": judge_samples(folder, dataset),
    }


def _judge_likelihood(folder: Path, dataset: Dataset) -> Figures:
    peer = json.loads((folder / "peer.json").read_bytes())
    latents, width = peer["latent_dim"], peer["width"]
    network = Ours(latents, width) if peer["peer"] == "pythae" else Perceptrons(latents)
    network.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    network.eval().requires_grad_(False)
    found = likelihood.likelihood(network.encode, network.decode, dataset)
    chunks = dataset.test.unit().split(500)
    mu, logvar = (torch.cat(parts) for parts in zip(*map(network.encode, chunks), strict=True))
    return found | representations.posterior_metrics(mu, logvar)


def _note(kind: str, dataset: Dataset) -> str:
    lines = [
        f"{peer['name']}: {peer['description']}, {peer['parameters']:,} parameters, "
        f"{peer['updates']:,} updates."
        for _, peer in peers_of(kind, dataset)
    ]
    return " ".join(lines or ["No peer was trained yet: see benchmarks/README.md."])


if __name__ == "__main__":
    main()
