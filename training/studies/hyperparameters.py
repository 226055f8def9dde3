"""Why neither lambda nor eta can be learned by descending the training cost."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes

from training import plots
from training.studies.findings import Cell, Findings, Plot, Table
from training.studies.maths.hyperparameters import (
    Split,
    after,
    descend_penalty,
    descend_rate,
    diabetes_with_products,
    hypergradient_descent,
    steepest_descent,
)

STEPS = 100
"""Of gradient descent, in the search for eta."""
SHOWN = (0, 30, 100, 300, 1000, 3000)
STARTS = (0.3, 1.0, 3.0)
ROUNDS = 60
LOW = 0.005
"""The eta that searches begin at, as a share of the largest stable one, 2 / lambda_max."""
SHARES = tuple(LOW * (0.99 / LOW) ** (index / 40) for index in range(41))
Errors = tuple[float, float, float]


def run() -> Findings:
    """Return what descent of the training cost makes of lambda and eta, and what validation does."""
    split = diabetes_with_products()
    return Findings(
        title="Lambda and eta cannot be learned from the training cost",
        question=(
            "The training cost is a function of the penalty lambda and of the learning rate eta too. Why not "
            "descend it in them as in the weights?"
        ),
        parts=(_penalty(split), _rate(split), _plot(split)),
    )


def _penalties(split: Split) -> tuple[list[float], list[Errors]]:
    """Return lambdas and the errors of ridge regression at each."""
    penalties = torch.logspace(-4, 2, 49, dtype=torch.float64).tolist()
    return penalties, [split.errors(split.ridge(penalty)) for penalty in penalties]


def _rates(split: Split) -> list[Errors]:
    """Return the errors after `STEPS` of descent, for every eta of `SHARES`."""
    unit = 2 / split.steepest
    rates = [torch.tensor(share * unit, dtype=torch.float64) for share in SHARES]
    return [split.errors(after(split, rate, STEPS)) for rate in rates]


def _least(errors: list[Errors]) -> int:
    """Return where the validation error is least."""
    return min(range(len(errors)), key=lambda index: errors[index][1])


def _penalty(split: Split) -> Table:
    path = descend_penalty(split, 1.0, 0.02, SHOWN[-1])
    rows: list[tuple[Cell, ...]] = [
        (f"descent in w and lambda, step {step}", path[step][0], *split.errors(path[step][1]))
        for step in SHOWN
    ]
    penalties, errors = _penalties(split)
    best = _least(errors)
    rows += [
        ("lambda 0, w at its optimum", 0.0, *split.errors(split.ridge(0.0))),
        ("search on validation", penalties[best], *errors[best]),
    ]
    before, beyond = (split.errors(path[step][1])[2] for step in (SHOWN[0], SHOWN[-1]))
    return Table(
        title="Lambda by descending the training cost",
        columns=("chosen by", "lambda", "training error", "validation error", "test error"),
        rows=tuple(rows),
        note=(
            f"Mean squared errors; {len(split.train[0])} patients and {split.train[0].shape[1]} features. "
            "The derivative of the cost in lambda is sum w^2 / 2, never negative, so lambda falls to 0: the "
            f"training error falls from row to row, the test error goes from {before:.3g} to {beyond:.3g}."
        ),
    )


def _rate(split: Split) -> Table:
    unit = 2 / split.steepest
    errors = _rates(split)
    best = _least(errors)
    learned = descend_rate(split, LOW * unit, STEPS, ROUNDS)[-1]
    rows: list[tuple[Cell, ...]] = [
        ("best single step, anew at each", "changes", *split.errors(steepest_descent(split, STEPS))),
        (
            f"descent of the training error after {STEPS} steps",
            learned / unit,
            *split.errors(after(split, torch.tensor(learned, dtype=torch.float64), STEPS)),
        ),
    ]
    for rate in (1e-5, 1e-4, 1e-3, 1e-2):
        w, eta = hypergradient_descent(split, LOW * unit, rate, STEPS)
        rows.append((f"hypergradient, its own rate {rate:g}", eta / unit, *split.errors(w)))
    rows.append(("search on validation", SHARES[best], *errors[best]))
    return Table(
        title=f"Eta by descending the training cost, {STEPS} steps of gradient descent",
        columns=("chosen by", "eta lambda_max / 2", "training error", "validation error", "test error"),
        rows=tuple(rows),
        note=(
            "In the steps there are, the largest stable eta (1 in these units) fits the training data best: "
            "choosing eta by the training error ends near it. Hypergradient descent (Baydin et al. 2018) "
            "raises eta towards it too; how far it gets depends on a rate of its own, which nothing has "
            "chosen. The search on validation takes a smaller eta, which stops early."
        ),
    )


def _plot(split: Split) -> Plot:
    figure, (first, second, third) = plots.panels(3, columns=3)
    for start in STARTS:
        path = descend_penalty(split, start, 0.02, 2500)
        first.plot([penalty for penalty, _ in path], label=f"from {start:g}")
    penalties, errors = _penalties(split)
    first.axhline(penalties[_least(errors)], color="k", linestyle=":", label="best in validation")
    first.set(xlabel="step", ylabel="lambda", title="Descent takes lambda to 0")
    first.legend()
    _draw_errors(second, penalties, errors)
    second.set(xlabel="lambda", title="Training always wants less lambda")
    _draw_errors(third, list(SHARES), _rates(split))
    third.set(xlabel="eta lambda_max / 2", title="and as much eta as is stable")
    return Plot(
        title="What training wants, and what validation wants",
        note=f"Right: after {STEPS} steps of descent from w = 0, without a penalty.",
        png=plots.png(figure),
    )


def _draw_errors(axes: Axes, settings: list[float], errors: list[Errors]) -> None:
    for part, name in enumerate(("training", "validation", "test")):
        axes.semilogx(settings, [row[part] for row in errors], label=name)
    best = _least(errors)
    axes.plot(settings[best], errors[best][1], "k*", markersize=10, label="least in validation")
    axes.set(ylabel="mean squared error", ylim=(0, 1.6))
    axes.legend()
