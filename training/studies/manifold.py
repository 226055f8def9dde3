"""Denoising on the manifold y = x²: learned denoisers against the best there are, under three losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.data.corruption import NoiseKind
from training.plots import panels, png
from training.runtime.randomness import generator
from training.studies.findings import Cell, Findings, Plot, Table
from training.studies.maths.manifold import (
    Fit,
    Loss,
    clean_points,
    curve,
    denoised,
    distance_to_curve,
    noisy_points,
    posterior_mean,
    posterior_median,
    train,
)

KINDS: tuple[NoiseKind, ...] = ("gaussian", "uniform", "laplace", "cauchy")
LOSSES: tuple[Loss, ...] = ("mse", "l1", "huber")
SUITED: dict[NoiseKind, Loss] = {"gaussian": "mse", "uniform": "mse", "laplace": "l1", "cauchy": "l1"}
BOUNDED: tuple[NoiseKind, ...] = ("gaussian", "laplace", "cauchy")
"""Noise for which units are tanh. Uniform noise gives the best denoiser creases, which ReLU units can fit."""
LEVEL = 0.1
"""Of every kind: the standard deviation of a coordinate; of Cauchy noise its scale."""
TEST_POINTS = 10_000
NONE = "does not exist"


@dataclass(frozen=True)
class Bench:
    """Test points, and everything that was trained for them."""

    clean: Tensor
    noisy: dict[NoiseKind, Tensor]
    networks: dict[tuple[NoiseKind, Loss], nn.Module]

    def learned(self, kind: NoiseKind, loss: Loss) -> Tensor:
        """Return the noisy points of one kind as the network of one loss denoises them."""
        return denoised(self.networks[kind, loss], self.noisy[kind])

    def best(self, kind: NoiseKind, loss: Loss) -> Tensor:
        """Return the noisy points of one kind as the Bayes denoiser of `mse` or `l1` has them."""
        bayes = {"mse": posterior_mean, "l1": posterior_median}[loss]
        return bayes(self.noisy[kind], kind, LEVEL)

    def cells(self, points: Tensor, heavy: bool = False) -> tuple[Cell, ...]:
        """Return median distance to the clean point and to the curve, and the mean squared distance."""
        distance = (points - self.clean).norm(dim=1)
        squared = NONE if heavy else float(distance.square().mean())
        return (float(distance.median()), float(distance_to_curve(points).median()), squared)


def run() -> Findings:
    """Train the denoisers and hold them against quadrature."""
    clean = clean_points(TEST_POINTS, generator(0, "test points"))
    bench = Bench(
        clean,
        {kind: noisy_points(clean, kind, LEVEL, generator(0, f"test {kind}")) for kind in KINDS},
        {
            (kind, loss): train(Fit(kind, LEVEL, loss, bounded=kind in BOUNDED))
            for kind in KINDS
            for loss in LOSSES
        },
    )
    return Findings(
        title="The manifold y = x²",
        question="A denoising autoencoder pulls noisy points back to the manifold the data lie on. How near "
        "does a trained one come to the best there is, which loss suits which noise, and where do "
        "averages fail?",
        parts=(
            bayes_table(bench),
            distance_table(bench),
            parabola_plot(bench),
            loss_table(bench),
            cauchy_table(bench),
        ),
    )


def bayes_table(bench: Bench) -> Table:
    """Compare each suited network with the Bayes denoiser of its own loss."""
    rows: list[tuple[Cell, ...]] = []
    for kind, loss in SUITED.items():
        untouched, least, error = (
            total_error(points - bench.clean, loss)
            for points in (bench.noisy[kind], bench.best(kind, loss), bench.learned(kind, loss))
        )
        shown = NONE if kind == "cauchy" else untouched
        rows.append((kind, loss, shown, least, error, 100 * (error / least - 1)))
    return Table(
        title="Learned against Bayes",
        note=f"Mean loss per point over {TEST_POINTS} test points, level {LEVEL} (Cauchy: scale). The Bayes "
        "denoiser is the posterior mean (mse) or the coordinatewise posterior median (l1), by quadrature "
        "along the curve. Target: at most 3% above it. That "
        "of uniform noise has creases where the bound on t passes from one coordinate to the other; its "
        "network has ReLU units, the others tanh.",
        columns=("noise", "loss", "noisy points", "Bayes", "learned", "excess %"),
        rows=tuple(rows),
    )


def total_error(difference: Tensor, loss: Loss) -> float:
    """Return the squared or absolute error summed over coordinates and averaged over points."""
    return float((difference.square() if loss == "mse" else difference.abs()).sum(1).mean())


def distance_table(bench: Bench) -> Table:
    """Return by how much denoising cuts the median distances."""
    rows: list[tuple[Cell, ...]] = []
    for kind, loss in SUITED.items():
        before = bench.cells(bench.noisy[kind])[:2]
        learned, best = bench.cells(bench.learned(kind, loss))[:2], bench.cells(bench.best(kind, loss))[:2]
        cuts = [100 * (1 - float(after[i]) / float(before[i])) for i in (1, 0) for after in (learned, best)]
        rows.append((kind, loss, before[1], learned[1], *cuts[:2], before[0], learned[0], *cuts[2:]))
    to_curve, bayes = [float(row[4]) for row in rows], [float(row[9]) for row in rows]
    return Table(
        title="Median distances, before and after",
        note="Target for uniform, Laplace and Cauchy noise: cut by 60%. The smallest cut of the distance to "
        f"the curve is {min(to_curve):.1f}%. Of the distance to the clean point even the Bayes denoiser "
        f"cuts at most {max(bayes):.1f}% at this level: noise along the curve looks like another clean "
        "point.",
        columns=(
            "noise", "loss",
            "to curve: noisy", "learned", "cut %", "Bayes cut %",
            "to clean point: noisy", "learned", "cut %", "Bayes cut %",
        ),
        rows=tuple(rows),
    )  # fmt: skip


def parabola_plot(bench: Bench) -> Plot:
    """Draw noisy and denoised points on the parabola, one panel per noise."""
    figure, axes = panels(len(KINDS), width=4.4, height=3.6)
    shown = slice(0, 600)
    for ax, kind in zip(axes, KINDS, strict=True):
        after = bench.learned(kind, SUITED[kind])[shown]
        ax.scatter(bench.noisy[kind][shown, 0], bench.noisy[kind][shown, 1], s=5, color="0.7", label="noisy")
        ax.plot(*curve(torch.linspace(-1, 1, 200)).T, color="black", linewidth=1, label="y = x²")
        ax.scatter(after[:, 0], after[:, 1], s=5, color="tab:red", label="denoised", zorder=3)
        ax.set(xlim=(-1.6, 1.6), ylim=(-0.6, 1.6), xlabel="x", ylabel="y")
        ax.set_title(f"{kind.capitalize()} noise, {SUITED[kind]} loss")
        ax.legend(loc="lower right", fontsize=7)
    return Plot(
        title="Denoised points lie on the parabola",
        note="600 test points each. Under Cauchy noise many noisy points lie outside the frame.",
        png=png(figure),
    )


def loss_table(bench: Bench) -> Table:
    """Return every noise under every loss."""
    rows: list[tuple[Cell, ...]] = []
    for kind in KINDS:
        rows.append((kind, "(noisy points)", *bench.cells(bench.noisy[kind], heavy=kind == "cauchy")))
        rows += [(kind, loss, *bench.cells(bench.learned(kind, loss))) for loss in LOSSES]
    nearest, least = (
        ", ".join(f"{kind} {best_loss(bench, kind, column)}" for kind in KINDS) for column in (0, 2)
    )
    return Table(
        title="Which noise suits which loss",
        note="Tanh units (uniform: ReLU), clean targets. The squared error pays for the farthest points "
        "first, the absolute one serves the typical point. Best by the median distance to the clean point: "
        f"{nearest}; by the mean squared distance: {least}.",
        columns=("noise", "loss", "median to clean point", "median to curve", "mean squared distance"),
        rows=tuple(rows),
    )


def best_loss(bench: Bench, kind: NoiseKind, column: int) -> Loss:
    """Return the loss whose network has the least value in one column of `Bench.cells`."""
    return min(LOSSES, key=lambda loss: bench.cells(bench.learned(kind, loss))[column])


def cauchy_table(bench: Bench) -> Table:
    """Return what the losses make of Cauchy noise where something unbounded is averaged."""
    noisy = bench.noisy["cauchy"]
    settings = {
        "bounded units, clean targets": Fit("cauchy", LEVEL, "mse"),
        "unbounded units, clean targets": Fit("cauchy", LEVEL, "mse", bounded=False),
        "bounded units, noisy targets": Fit("cauchy", LEVEL, "mse", noisy_targets=True),
    }
    rows: list[tuple[Cell, ...]] = []
    for index, (name, fit) in enumerate(settings.items()):
        for loss in LOSSES:
            known = bench.networks["cauchy", loss]
            network = known if index == 0 else train(Fit(**{**vars(fit), "loss": loss}))
            points = denoised(network, noisy)
            rows.append((name, loss, *bench.cells(points, heavy=not fit.bounded)))
    return Table(
        title="Cauchy noise: where averages fail",
        note="The clean points are bounded, so their posterior mean exists and a bounded network can learn "
        "it from clean targets under any loss. Unbounded units make the squared error of the output itself "
        "an average that does not exist; with noisy targets there is no mean to aim at, and mse leaves "
        f"{rows[6][2]:.3f} (median to the clean point) where the noisy points had "
        f"{bench.cells(noisy)[0]:.3f} and l1 leaves "
        f"{rows[7][2]:.3f}. The absolute and the Huber loss go on working: their gradients by the "
        "output are bounded, and what they aim at is a median or near it.",
        columns=("network", "loss", "median to clean point", "median to curve", "mean squared distance"),
        rows=tuple(rows),
    )
