"""Prints our VAE beside the peers in `runs/peers/`, all judged by our judge.

    python -m benchmarks.vae images runs/fashion-vae
    python -m benchmarks.vae likelihood runs/likelihood-vae

What a peer scores is kept beside it, and judged again once the peer or the judge has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from benchmarks.networks import Ours, Perceptrons
from benchmarks.peers import PEERS
from training import codes, features, fidelity, generation, likelihood, metrics
from training.data import Dataset, to_range
from training.evaluate import evaluate
from training.run import Run, RunError, replace
from training.saved import METRICS, data_of, kept, restored
from training.study import Cell, Table, rows

Figures = dict[str, Any]
CONSOLE = Console(stderr=True, soft_wrap=True)
CONTROL = generation.CONTROL_DIMENSIONS
LIKELIHOOD_FIGURES = (
    f"iwae_{likelihood.SAMPLES}_nats",
    f"iwae_{likelihood.SAMPLES}_standard_error",
    "elbo_nats",
    "rate_nats",
    "active_units",
)
IMAGE_FIGURES = ("cfid", "cfid_deviation", "kid", "density", "coverage", "cfid_control")


def main() -> None:
    """Print one comparison as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vae", description="Our VAE beside the peers.")
    parser.add_argument("kind", choices=("images", "likelihood"))
    parser.add_argument("run", type=Path, help="our run's folder, such as runs/fashion-vae")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = {"images": images, "likelihood": likelihoods}[options.kind](options.run)
    for line in ["", f"**{table.title}**", "", *rows(table), "", table.note]:
        print(line)  # noqa: T201 - the command's output


def images(run: Path) -> Table:
    """Return the comparison of image VAEs: reconstructions, and samples from every prior."""
    dataset, ours = _data(run), _ours(run)
    lines = [
        (f"ours: {prior}", _seconds(run), ours["mse"], ours["ssim"], *_cells(ours["generation"][name]))
        for name, prior in (("generated", "as it generates"), ("generated from N(0, I)", "N(0, I)"))
        if name in ours["generation"]
    ]
    for folder, peer in _peers("images", dataset):
        found = _judged(folder, (generation, fidelity, metrics), partial(_judge_images, folder, dataset))
        lines += [
            (f"{peer['name']}: {prior}", peer["used_s"], found["mse"], found["ssim"], *_cells(row))
            for prior, row in found["generation"].items()
        ]
    for name, row in ours["generation"].items():
        if not name.startswith("generated"):
            lines.append((name, "", "", "", *_cells(row)))
    columns = ("system", "processor s", "mse", "ssim", *(name.replace("_", " ") for name in IMAGE_FIGURES))
    return Table(title="Image VAEs", columns=columns, rows=tuple(lines), note=_note("images", dataset))


def likelihoods(run: Path) -> Table:
    """Return the comparison of likelihood VAEs: the importance-weighted bound on binarised test images."""
    dataset, ours = _data(run), _ours(run)
    scored = [("ours", _seconds(run), ours)]
    for folder, peer in _peers("likelihood", dataset):
        judge = partial(_judge_likelihood, folder, dataset)
        scored.append((peer["name"], peer["used_s"], _judged(folder, (likelihood, codes), judge)))
    columns = ("system", "processor s", *(name.replace("_", " ") for name in LIKELIHOOD_FIGURES))
    lines = tuple((name, used, *(row[key] for key in LIKELIHOOD_FIGURES)) for name, used, row in scored)
    note = f"{ours['likelihood_images']} test images, binarised once. {_note('likelihood', dataset)}"
    return Table(title="VAEs of binarised images", columns=columns, rows=lines, note=note)


def _judge_images(folder: Path, dataset: Dataset) -> Figures:
    test = to_range(dataset.test.pixels, (0.0, 1.0))
    rebuilt = _images(np.load(folder / "reconstructions.npy"))
    pca = metrics.PCA.fit(to_range(dataset.train.pixels, (0.0, 1.0)), CONTROL)
    scales = generation.Scales(dataset, features.features_of(dataset, CONSOLE), pca)
    by_prior: Figures = {}
    for path in sorted(folder.glob("samples from *.npz")):
        with np.load(path) as samples:
            each = [scales.row(_images(samples[name])) for name in samples]
        by_prior[path.stem.removeprefix("samples from ")] = generation.over_seeds(each)
    return {
        "mse": metrics.mse(rebuilt, test),
        "ssim": metrics.ssim(rebuilt, test),
        "generation": by_prior,
    }


def _judge_likelihood(folder: Path, dataset: Dataset) -> Figures:
    peer = json.loads((folder / "peer.json").read_bytes())
    latents, width = peer["latent_dim"], peer["width"]
    network = Ours(latents, width) if peer["peer"] == "pythae" else Perceptrons(latents)
    network.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    network.eval().requires_grad_(False)
    found = likelihood.likelihood(network.encode, network.decode, dataset)
    chunks = to_range(dataset.test.pixels, (0.0, 1.0)).split(500)
    mu, logvar = (torch.cat(parts) for parts in zip(*map(network.encode, chunks), strict=True))
    return found | codes.posterior_figures(mu, logvar)


def _judged(folder: Path, judges: tuple[ModuleType, ...], judge: Callable[[], Figures]) -> Figures:
    """Return what a peer scores, kept for as long as neither it nor what judges it changes."""
    parts = [(folder / "peer.json").read_bytes(), features.SHIPPED.read_bytes()]
    parts += [inspect.getsource(module).encode() for module in judges]
    key = hashlib.sha256(b"".join(parts)).hexdigest()
    path = folder / "figures.json"
    if path.is_file() and (stored := json.loads(path.read_bytes()))["key"] == key:
        return dict(stored["figures"])
    CONSOLE.print(f"judging {folder}", highlight=False)
    figures = judge()
    replace(path, json.dumps({"key": key, "figures": figures}, indent=1).encode())
    return figures


def _peers(kind: str, dataset: Dataset) -> list[tuple[Path, Figures]]:
    """Return the peers of one kind that were trained on this data set."""
    found = [
        (path.parent, json.loads(path.read_bytes())) for path in sorted((PEERS / kind).glob("*/peer.json"))
    ]
    return [(folder, peer) for folder, peer in found if peer["data_sha256"] == dataset.sha256]


def _note(kind: str, dataset: Dataset) -> str:
    lines = [
        f"{peer['name']}: {peer['description']}, {peer['parameters']:,} parameters, "
        f"{peer['updates']:,} updates."
        for _, peer in _peers(kind, dataset)
    ]
    return " ".join(lines or ["No peer was trained yet: see benchmarks/README.md."])


def _data(run: Path) -> Dataset:
    dataset = data_of(run, lambda line: CONSOLE.print(line, highlight=False))
    if not isinstance(dataset, Dataset):
        raise RunError(f"{run} learned from two domains")
    return dataset


def _ours(run: Path) -> Figures:
    dataset = _data(run)
    found: Any = kept(run, METRICS, lambda: evaluate(restored(run, dataset), dataset, CONSOLE))
    if not {"generation", "rate_nats"} <= set(found):
        raise SystemExit(f"the figures of {run} are incomplete: python -m training evaluate {run}")
    return dict(found)


def _seconds(run: Path) -> Cell:
    progress = Run(run).progress()
    return progress.seconds if progress else ""


def _cells(row: Figures) -> list[Cell]:
    return [row.get(name, "") for name in IMAGE_FIGURES]


def _images(stored: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(stored.astype(np.float32))


if __name__ == "__main__":
    main()
