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
    SAMPLE_JUDGES,
    cells,
    dataset_of_run,
    figures_of_run,
    judge_samples,
    judged,
    peers_of,
    seconds_of_run,
)
from training.study import Table, rows


def main() -> None:
    """Print the comparison as Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gan", description="Our GANs beside the peers."
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders of our runs, such as runs/fashion-gan")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = generators(options.runs)
    for line in ["", f"**{table.title}**", "", *rows(table), "", table.note]:
        print(line)  # noqa: T201 - the command's output


def generators(runs: list[Path]) -> Table:
    """Return the comparison; all runs are of the same data."""
    dataset = dataset_of_run(runs[0])
    ours = {run: figures_of_run(run, "generation")["generation"] for run in runs}
    lines = [(run.name, seconds_of_run(run), *cells(found["generated"])) for run, found in ours.items()]
    peers = peers_of("gans", dataset)
    for folder, peer in peers:
        found = judged(folder, SAMPLE_JUDGES, partial(judge_samples, folder, dataset))
        lines += [(f"{peer['name']} {how}", peer["used_s"], *cells(row)) for how, row in found.items()]
    others = next(iter(ours.values()))
    lines += [(name, "", *cells(row)) for name, row in others.items() if not name.startswith("generated")]
    columns = ("system", "processor s", *(name.replace("_", " ") for name in IMAGE_FIGURES))
    note = " ".join(
        f"{peer['name']}: {peer['parameters']:,} parameters in its generator, {peer['batches']:,} batches of "
        f"{peer['options']['batch_size']}."
        for _, peer in peers
    )
    return Table(title="GANs", columns=columns, rows=tuple(lines), note=note)


if __name__ == "__main__":
    main()
