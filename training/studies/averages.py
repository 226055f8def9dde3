"""Sums and averages of noise: when the central limit theorem makes noise Gaussian, and when it does not."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from training.plots import panels, png
from training.studies.findings import Cell, Findings, Plot, Table
from training.studies.maths.averages import (
    DRAWS,
    SUMS,
    Estimate,
    distance_to_gaussian,
    excess_kurtosis,
    huber_location,
    mean,
    median,
    running_means,
    spread,
    trimmed_mean,
)

SAMPLE_SIZES = (100, 1000, 10_000, 100_000, 1_000_000)
SEEDS = 32
ESTIMATES: dict[str, Estimate] = {
    "mean": mean,
    "median": median,
    "10% trimmed mean": trimmed_mean,
    "Huber": huber_location,
}
TERMS = (1, 4, 16, 64)
SUM_COUNT = 400_000
PATHS = 6


def run() -> Findings:
    """Measure how estimates and sums behave as their numbers grow."""
    return Findings(
        title="Averages and sums of noise",
        question="Noise is the sum of many small effects, so it is Gaussian and averaging removes it. "
        "Under which conditions, and what is left where they fail?",
        parts=(spread_table(), running_plot(), *sum_tables()),
    )


def spread_table() -> Table:
    """Return how the spread of estimates of the centre falls with the sample size."""
    rows: list[tuple[Cell, ...]] = []
    for count in SAMPLE_SIZES:
        gaussian = spread(DRAWS["gaussian"], {"mean": mean}, count, SEEDS)
        rows.append((count, gaussian["mean"], *spread(DRAWS["cauchy"], ESTIMATES, count, SEEDS).values()))
    fall = [float(rows[0][column]) / float(rows[-1][column]) for column in range(1, 6)]
    return Table(
        title="Spread of averages against sample size",
        note=f"Half the distance between the quartiles of {SEEDS} estimates of the centre; the noise has "
        f"deviation 1, or as Cauchy noise quartiles -1 and 1. From n = {SAMPLE_SIZES[0]} to "
        f"{SAMPLE_SIZES[-1]}, 1/sqrt(n) falls by {math.sqrt(SAMPLE_SIZES[-1] / SAMPLE_SIZES[0]):.0f}: the "
        f"Gaussian's mean by {fall[0]:.0f}, the Cauchy's median by {fall[2]:.0f}, its trimmed mean by "
        f"{fall[3]:.0f} and its Huber centre by {fall[4]:.0f}, but its mean by {fall[1]:.2f}: the mean of n "
        "Cauchy numbers is spread exactly as one of them.",
        columns=("n", "Gaussian: mean", *(f"Cauchy: {name}" for name in ESTIMATES)),
        rows=tuple(rows),
    )


def running_plot() -> Plot:
    """Draw running means of Gaussian and of Cauchy numbers."""
    figure, axes = panels(2)
    for ax, name in zip(axes, ("gaussian", "cauchy"), strict=True):
        draw_running(ax, name)
    axes[1].set_yscale("symlog", linthresh=1)
    axes[1].set_yticks([-10, -1, 0, 1, 10], ["-10", "-1", "0", "1", "10"])
    return Plot(
        title="Running means",
        note=f"The mean of the first n numbers, {PATHS} seeds. The Gaussian's go to the centre as 1/sqrt(n) "
        "(dashed). The Cauchy's leap whenever one number outweighs all before it, at any n; "
        "its running median (black, first seed) settles.",
        png=png(figure),
    )


def draw_running(ax: Axes, name: str) -> None:
    """Draw the running means of one law on a logarithmic axis of n."""
    count = SAMPLE_SIZES[-1]
    at = np.unique(np.geomspace(1, count, 400).astype(int))
    for seed in range(PATHS):
        ax.plot(at, running_means(DRAWS[name], count, seed)[at - 1], linewidth=1, alpha=0.8)
    if name == "gaussian":
        for sign in (-1, 1):
            ax.plot(at, sign / np.sqrt(at), "k--", linewidth=1, label="±1/sqrt(n)" if sign == 1 else None)
    else:
        sample = DRAWS[name](np.random.default_rng(0), count)
        ax.plot(at, [median(sample[:n]) for n in at], "k", label="running median, first seed")
    ax.set_xscale("log")
    ax.set_xlabel("numbers averaged, n")
    ax.set_ylabel("running mean (noise scales)")
    ax.set_title(f"{name.capitalize()} noise")
    ax.legend(loc="lower right")


def sum_tables() -> tuple[Table, Table]:
    """Return the distance to a Gaussian and the kurtosis of sums of more and more terms."""
    distances: list[tuple[Cell, ...]] = []
    kurtoses: list[tuple[Cell, ...]] = []
    for index, (name, sums) in enumerate(SUMS.items()):
        samples = [sums.scaled(np.random.default_rng((index, n)), n, SUM_COUNT) for n in TERMS]
        distances.append((name, *map(distance_to_gaussian, samples)))
        kurtoses.append(
            (name, *(excess_kurtosis(x) if sums.has_moments else "does not exist" for x in samples))
        )
    columns = ("terms", *(f"n = {n}" for n in TERMS))
    # Kolmogorov's law: the distance of a sample that is Gaussian has this mean.
    floor = math.sqrt(math.pi / 2) * math.log(2) / math.sqrt(SUM_COUNT)
    return (
        Table(
            title="Sums against a Gaussian: largest difference of the distribution functions",
            note=f"{SUM_COUNT} sums of n terms, scaled to deviation 1 (Cauchy: to the same quartiles); a "
            f"sample from the Gaussian itself has {floor:.2g}. Sums of many independent effects of bounded "
            "variance approach it, symmetric ones as 1/n and skewed ones as 1/sqrt(n). They do not where "
            "one effect dominates, where the effects share a random scale, or where they have no variance.",
            columns=columns,
            rows=tuple(distances),
        ),
        Table(
            title="Sums against a Gaussian: excess kurtosis",
            note="It is 0 for a Gaussian and falls as 1/n for independent terms, from -1.2 (uniform), 3 "
            "(Laplace) and 6 (exponential). A sample from the Gaussian itself has a standard error of "
            f"{math.sqrt(24 / SUM_COUNT):.2g}.",
            columns=columns,
            rows=tuple(kurtoses),
        ),
    )
