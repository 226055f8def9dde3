"""Linear regression: whether the gradient is right, and how fast descent reaches the closed form."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from torch import Tensor

from training import plots
from training.runtime.randomness import generator
from training.studies.findings import Findings, Plot, Table
from training.studies.maths.regression import (
    closed_form,
    cost,
    curvature,
    descend,
    difference_gradient,
    gradient,
)

STEPS = (1e-8, 1e-6, 1e-4, 1e-2, 1.0, 1e2)
CONDITIONS = (2.0, 10.0, 100.0, 1000.0)
SHARES = (0.2, 0.9, 0.99, 1.01, 1.1)
"""Learning rates as shares of 2 / lambda_max."""
EXAMPLES = 200


def run() -> Findings:
    """Return the gradient four ways, and descent's rate against the condition number."""
    data = {"synthetic, 8 features": synthetic(8, 10.0), "diabetes, 10 features": diabetes()}
    return Findings(
        title="Linear regression",
        question=(
            "The sum of squared errors has the gradient 2X'Xw - 2X'y. Does it agree with automatic "
            "differentiation, finite differences and the closed form; when does descent reach the latter?"
        ),
        parts=(_gradients(data), _steps(data), _rates(data), _plot()),
    )


def synthetic(features: int, condition: float) -> tuple[Tensor, Tensor]:
    """Return X (200, features), whose X'X has this condition number, and y with a little noise."""
    random = generator(0, "regression", features)
    u, _ = torch.linalg.qr(torch.randn((EXAMPLES, features), generator=random, dtype=torch.float64))
    v, _ = torch.linalg.qr(torch.randn((features, features), generator=random, dtype=torch.float64))
    singular = torch.logspace(0, 0.5, features, base=condition, dtype=torch.float64)
    x = u * singular @ v.T
    w = torch.randn(features, generator=random, dtype=torch.float64)
    return x, x @ w + 0.1 * torch.randn(EXAMPLES, generator=random, dtype=torch.float64)


def diabetes() -> tuple[Tensor, Tensor]:
    """Return scikit-learn's 442 diabetes patients, columns and target at mean 0 and variance 1."""
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes()
    x, y = (torch.from_numpy(part).double() for part in (bunch.data, bunch.target))
    return (x - x.mean(0)) / x.std(0, correction=0), (y - y.mean()) / y.std(correction=0)


def relative_error(found: Tensor, truth: Tensor) -> float:
    """Return |found - truth| / |truth|."""
    return float((found - truth).norm() / truth.norm())


def _point(features: int) -> Tensor:
    """Return where the gradient is compared: away from the optimum."""
    return torch.randn(features, generator=generator(0, "regression point"), dtype=torch.float64)


def _gradients(data: dict[str, tuple[Tensor, Tensor]]) -> Table:
    rows = []
    for name, (x, y) in data.items():
        w = _point(x.shape[1]).requires_grad_()
        (automatic,) = torch.autograd.grad(cost(x, y, w), w)
        w = w.detach()
        found, best = gradient(x, y, w), closed_form(x, y)
        rows.append(
            (
                name,
                relative_error(found, automatic),
                relative_error(found, difference_gradient(x, y, w, 1.0)),
                relative_error(found, 2 * x.T @ x @ (w - best)),
                float(gradient(x, y, best).norm() / (2 * x.T @ y).norm()),
            )
        )
    worst = max(error for row in rows for error in row[1:] if isinstance(error, float))
    return Table(
        title="2X'Xw - 2X'y against four oracles, relative error in float64",
        columns=(
            "data",
            "autograd",
            "central differences, step 1",
            "2X'X(w - w*)",
            "at w*, against |2X'y|",
        ),
        rows=tuple(rows),
        note=(
            f"The largest is {worst:.1e}. w* is the closed form, by QR; the gradient vanishes there. The mean"
            " of the squared errors has 1/n of this gradient."
        ),
    )


def _steps(data: dict[str, tuple[Tensor, Tensor]]) -> Table:
    x, y = data["diabetes, 10 features"]
    w = _point(x.shape[1])
    truth = gradient(x, y, w)
    rows = tuple(
        (
            f"{step:g}",
            relative_error(difference_gradient(x, y, w, step, central=False), truth),
            relative_error(difference_gradient(x, y, w, step), truth),
        )
        for step in STEPS
    )
    return Table(
        title="Finite differences on the diabetes data, by step",
        columns=("step", "one-sided", "central"),
        rows=rows,
        note=(
            "The cost is quadratic, so the central difference is exact at any step and what is left is the "
            "rounding of the cost divided by the step: best is a step as large as w itself, against the "
            "usual rule of a small one. The one-sided difference is also off by half the curvature times the "
            "step."
        ),
    )


def _rates(data: dict[str, tuple[Tensor, Tensor]]) -> Table:
    problems = {f"synthetic, condition {c:g}": synthetic(8, c) for c in CONDITIONS}
    problems["diabetes"] = data["diabetes, 10 features"]
    rows = []
    for name, (x, y) in problems.items():
        low, high = curvature(x)
        condition, best = high / low, closed_form(x, y)
        path = descend(x, y, 2 / (low + high), round(15 * condition))
        errors = (path - best).norm(dim=1) / best.norm()
        within = int((errors > 1e-8).sum())
        start = within // 2
        measured = float(errors[within - 1] / errors[start]) ** (1 / (within - 1 - start))
        rows.append((name, condition, measured, (condition - 1) / (condition + 1), within, float(errors[-1])))
    return Table(
        title="Descent at the best constant rate, 2 / (lambda_min + lambda_max)",
        columns=(
            "data",
            "condition number k",
            "error kept per step",
            "(k - 1) / (k + 1)",
            "steps to 1e-8",
            "relative error after 15 k steps",
        ),
        rows=tuple(rows),
        note=(
            "lambda are eigenvalues of the Hessian 2X'X, k their largest ratio. The error kept per step is "
            "measured over the second half of the way to 1e-8; the theory's is the largest possible."
        ),
    )


def _plot() -> Plot:
    figure, (first, second, third) = plots.panels(3, columns=3)
    _draw_paths(first)
    _draw_speed(second)
    _draw_limit(third)
    return Plot(
        title="The path, its speed and its limit",
        note="A rate above 2 / lambda_max makes the error along the steepest direction grow at every step.",
        png=plots.png(figure),
    )


def _draw_paths(axes: Axes) -> None:
    x, y = synthetic(2, 20.0)
    best, high = closed_form(x, y), curvature(x)[1]
    radius = 1.3 * float(best.abs().max())
    grid = torch.linspace(-radius, radius, 81, dtype=torch.float64)
    costs = [[float(cost(x, y, best + torch.stack([a, b]))) for a in grid] for b in grid]
    axes.contour(best[0] + grid, best[1] + grid, costs, levels=25, colors="0.8", linewidths=0.8)
    for share in (0.2, 0.9):
        path = descend(x, y, share * 2 / high, 60)
        axes.plot(path[:, 0], path[:, 1], ".-", label=f"{share:g} of 2 / lambda_max")
    axes.plot(best[0], best[1], "k*", markersize=10, label="closed form")
    axes.set(xlabel="first weight", ylabel="second weight", title="Descent reaches the closed form")
    axes.legend(loc="lower right")


def _draw_speed(axes: Axes) -> None:
    for index, condition in enumerate(CONDITIONS):
        x, y = synthetic(8, condition)
        low, high = curvature(x)
        best, kept = closed_form(x, y), (condition - 1) / (condition + 1)
        errors = (descend(x, y, 2 / (low + high), 300) - best).norm(dim=1) / best.norm()
        axes.semilogy(errors, color=f"C{index}", label=f"k = {condition:g}")
        axes.semilogy([kept**step for step in range(301)], ":", color=f"C{index}")
    axes.set(xlabel="step", ylabel="relative error of w", ylim=(1e-16, 10))
    axes.set_title("Slow where the condition number k is large\n(dotted: ((k - 1) / (k + 1)) to the step)")
    axes.legend(loc="center right")


def _draw_limit(axes: Axes) -> None:
    x, y = diabetes()
    best, high = closed_form(x, y), curvature(x)[1]
    for share in SHARES:
        errors = (descend(x, y, share * 2 / high, 400) - best).norm(dim=1) / best.norm()
        axes.semilogy(errors, label=f"{share:g}")
    axes.set(xlabel="step", ylabel="relative error of w", ylim=(1e-5, 1e4))
    axes.set_title("Diverges above 2 / lambda_max (diabetes)")
    axes.legend(title="rate, as share of 2 / lambda_max", loc="lower left", ncols=3)
