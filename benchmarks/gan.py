"""Prints our generators beside the peers in `runs/peers/gans/`, all judged by our judge.

    python -m benchmarks.gan runs/fashion-gan runs/wgan-gp

What a peer scores is kept beside it.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import torch

from benchmarks.judging import (
    IMAGE_FIGURES,
    cells,
    dataset_of_run,
    figures_of_run,
    judge_samples,
    judged,
    peers_of,
    publish,
    seconds_of_run,
)
from training.studies.findings import Table

QUESTION = "What do other projects' GANs reach on the same data in the processor time that ours took?"


def main() -> None:
    """Print the comparison as Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gan", description="Our GANs beside the peers."
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders of our runs, such as runs/fashion-gan")
    options = parser.parse_args()
    torch.set_num_threads(1)
    publish(generators(options.runs), QUESTION, "peers-gans")


def generators(runs: list[Path]) -> Table:
    """Return the comparison; all runs are of the same data."""
    dataset = dataset_of_run(runs[0])
    ours = {run: figures_of_run(run, "generation")["generation"] for run in runs}
    lines = [(run.name, seconds_of_run(run), *cells(found["generated"])) for run, found in ours.items()]
    peers = peers_of("gans", dataset)
    rivals = []
    for folder, peer in peers:
        found = judged(folder, partial(judge_samples, folder, dataset))
        lines += [(f"{peer['name']} {how}", peer["used_s"], *cells(row)) for how, row in found.items()]
        rivals += [row["cfid"] for row in found.values()]
    others = next(iter(ours.values()))
    lines += [(name, "", *cells(row)) for name, row in others.items() if not name.startswith("generated")]
    columns = ("system", "processor s", *(name.replace("_", " ") for name in IMAGE_FIGURES))
    note = ""
    if rivals:
        shares = (f"{run.name} {found['generated']['cfid'] / min(rivals):.3f}" for run, found in ours.items())
        note = f"cFID over that of the best peer: {', '.join(shares)}. "
    note += " ".join(
        f"{peer['name']}: {peer['parameters']:,} parameters in its generator, {peer['batches']:,} batches of "
        f"{peer['options']['batch_size']}."
        for _, peer in peers
    )
    return Table(title="GANs", columns=columns, rows=tuple(lines), note=note)


if __name__ == "__main__":
    main()
