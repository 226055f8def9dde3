"""The score in a denoiser: under Gaussian noise (r(x) - x) / sigma² is grad log p(x), and where this breaks.

Alain & Bengio 2014; for the posterior mean itself it is Tweedie's formula.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.data.corruption import NoiseKind
from training.plots import panels, png
from training.runtime.randomness import generator
from training.studies.findings import Cell, Findings, Plot, Table
from training.studies.maths.manifold import (
    Fit,
    clean_points,
    curve,
    denoised,
    distance_to_curve,
    noisy_points,
    posterior_mean,
    score,
    train,
)

SIGMA = 0.1
"""Of the networks' noise; the curve is 2 wide, its radius of curvature 0.5 at the vertex."""
TEST_POINTS = 10_000


def run() -> Findings:
    """Train one denoiser and hold its step against the score."""
    network = train(Fit("gaussian", SIGMA, "mse"))
    return Findings(
        title="Denoising and the score",
        question="A denoiser r trained on Gaussian noise knows the score: (r(x) - x) / sigma² = "
        "grad log p(x), p the density of the noisy points. How well does a learned one know it, and where "
        "does this break?",
        parts=(score_table(network), score_plot(network), other_noise_table(), shrinking_table()),
    )


def noisy_test(kind: NoiseKind, level: float) -> Tensor:
    """Return the noisy test points."""
    clean = clean_points(TEST_POINTS, generator(0, "test points"))
    return noisy_points(clean, kind, level, generator(0, f"test {kind}"))


def score_table(network: nn.Module) -> Table:
    """Compare the Gaussian network's step with the score, by distance from the curve."""
    noisy = noisy_test("gaussian", SIGMA)
    step = (denoised(network, noisy) - noisy) / SIGMA**2
    bayes = (posterior_mean(noisy, "gaussian", SIGMA) - noisy) / SIGMA**2
    gradient = score(noisy, "gaussian", SIGMA)
    distance = distance_to_curve(noisy) / SIGMA
    regions = {
        "all test points": distance >= 0,
        "0 to 0.5 sigma from the curve": distance < 0.5,
        "0.5 to 1 sigma": (distance >= 0.5) & (distance < 1),
        "1 to 2 sigma": (distance >= 1) & (distance < 2),
        "2 to 3 sigma": (distance >= 2) & (distance < 3),
        "beyond the ends of the curve": noisy[:, 0].abs() > 1,
    }
    rows = tuple(
        (
            name,
            int(inside.sum()),
            float(gradient[inside].norm(dim=1).median()),
            *agreement(step[inside], gradient[inside]),
            agreement(bayes[inside], gradient[inside])[0],
        )
        for name, inside in regions.items()
    )
    return Table(
        title="(r(x) - x) / sigma² against the score grad log p(x), Gaussian noise",
        note=f"Medians over {TEST_POINTS} test points, sigma = {SIGMA}; relative error is |step - score| / "
        "|score|. The score is the derivative of the log of the quadrature of p. The posterior mean "
        "fulfils the identity exactly (Tweedie's formula; last column: rounding). Near the curve, where the "
        "score is small, 1/sigma² magnifies what the network is off by.",
        columns=(
            "region", "points", "median size of the score",
            "relative error", "cosine", "Bayes: relative error",
        ),
        rows=rows,
    )  # fmt: skip


def agreement(step: Tensor, gradient: Tensor) -> tuple[float, float]:
    """Return the median relative error of `step` and the median cosine between the two."""
    errors = (step - gradient).norm(dim=1) / gradient.norm(dim=1)
    return float(errors.median()), float(torch.cosine_similarity(step, gradient).median())


def score_plot(network: nn.Module) -> Plot:
    """Draw the network's steps and the score side by side."""
    x, y = torch.meshgrid(torch.linspace(-1.3, 1.3, 19), torch.linspace(-0.35, 1.35, 14), indexing="xy")
    grid = torch.stack([x.flatten(), y.flatten()], 1).double()
    fields: dict[str, Callable[[], Tensor]] = {
        "Score, by quadrature": lambda: score(grid, "gaussian", SIGMA),
        "(r(x) - x) / sigma², learned": lambda: (denoised(network, grid) - grid) / SIGMA**2,
    }
    figure, axes = panels(2, width=4.6, height=3.6)
    far = distance_to_curve(grid) > 3 * SIGMA
    for ax, (title, field) in zip(axes, fields.items(), strict=True):
        ax.plot(*curve(torch.linspace(-1, 1, 200)).T, color="black", linewidth=1, label="y = x²")
        for points, colour, label in ((~far, "tab:blue", "within 3 sigma"), (far, "0.65", "farther")):
            ax.quiver(
                *grid[points].T, *field()[points].T,
                angles="xy", scale_units="xy", scale=300, width=0.004, color=colour, label=label,
            )  # fmt: skip
        ax.set(title=title, xlabel="x", ylabel="y", xlim=(-1.5, 1.5), ylim=(-0.5, 1.75))
        ax.legend(loc="upper center", fontsize=7, ncols=3)
    return Plot(
        title="Under Gaussian noise the step is the score",
        note=f"Arrows are the vectors divided by 300. Beyond 3 sigma (sigma = {SIGMA}) hardly a training "
        "point ever lay, and the network extrapolates.",
        png=png(figure),
    )


def other_noise_table() -> Table:
    """Return the identity for noise that is not Gaussian, with the posterior mean itself."""
    rows: list[tuple[Cell, ...]] = []
    kinds: tuple[NoiseKind, ...] = ("gaussian", "laplace", "cauchy")
    for kind in kinds:
        noisy = noisy_test(kind, SIGMA)
        step = (posterior_mean(noisy, kind, SIGMA) - noisy) / SIGMA**2
        rows.append((kind, *agreement(step, score(noisy, kind, SIGMA))))
    return Table(
        title="Where the score breaks: noise that is not Gaussian",
        note="The exact posterior mean in place of a network, so nothing is left to training; sigma² is the "
        "variance, for Cauchy noise (which has none) the squared scale. Tweedie's formula needs Gaussian "
        "noise. Uniform noise has no score: its density has edges.",
        columns=("noise", "relative error", "cosine"),
        rows=tuple(rows),
    )


def shrinking_table() -> Table:
    """Return how far the posterior mean leaves the curve as sigma grows."""
    rows: list[tuple[Cell, ...]] = []
    origin = torch.zeros(1, 2, dtype=torch.float64)
    for sigma in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8):
        noisy = noisy_test("gaussian", sigma)
        r = posterior_mean(noisy, "gaussian", sigma)
        step, gradient = (r - noisy) / sigma**2, score(noisy, "gaussian", sigma)
        lift = float(posterior_mean(origin, "gaussian", sigma)[0, 1])
        rows.append(
            (
                sigma,
                float(distance_to_curve(r).median()),
                100 * float((r[:, 1] > r[:, 0].square()).double().mean()),
                lift,
                lift / sigma**2,
                agreement(step, gradient)[0],
            )
        )
    return Table(
        title="Where \"on the manifold\" breaks: sigma against the radius of curvature",
        note="The Bayes denoiser is a mean of points on the curve, so it lies inside the bend "
        "(E[t²] > E[t]²), at the vertex by about sigma² as long as sigma is well below the radius of "
        "curvature there, 0.5. It still equals the score at every sigma, yet its points leave the manifold.",
        columns=(
            "sigma", "median distance of r(x) to the curve", "inside the bend %",
            "y of r(0, 0)", "in sigma²", "score: relative error",
        ),
        rows=tuple(rows),
    )  # fmt: skip
