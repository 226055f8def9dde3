"""L1, L2 and weight decay: against scikit-learn, the shrink per epoch, and the size of weights."""

from __future__ import annotations

from functools import cache

import torch
from sklearn.datasets import load_diabetes
from torch import Tensor

from training import plots
from training.runtime.randomness import generator
from training.studies.findings import Cell, Findings, Plot, Table
from training.studies.maths.regression import closed_form, curvature, descend
from training.studies.maths.shrinkage import Epoch, kept_under_noise, output_weights
from training.studies.regression import diabetes

ALPHAS = (0.01, 0.1, 1.0)
EPOCHS = (
    Epoch(60_000, 10, 0.5, 5.0),
    Epoch(1000, 10, 0.5, 5.0),
    Epoch(100, 10, 0.5, 5.0),
    Epoch(20, 10, 0.5, 20.0),
    Epoch(10, 10, 0.5, 30.0),
    Epoch(10, 10, 0.5, 50.0),
)
WIDTHS = (16, 64, 256, 1024)
HIDDEN_L2 = 3e-3
NOISE = (0.1, 1.0, 10.0)


def run() -> Findings:
    """Return what the penalties do, where the course's formulas hold and where they break."""
    return Findings(
        title="L1, L2 and weight decay",
        question=(
            "Does an epoch multiply weights by (1 - eta lambda/n)^(n/m), near exp(-eta lambda/m)? Are "
            "weights of the size 1/sqrt(n_w)? Do the penalties agree with scikit-learn's?"
        ),
        parts=(
            _agreement(),
            _paths(),
            _shrink(),
            _shrink_otherwise(),
            _adam(),
            _sizes(),
            _curves(),
        ),
    )


def _agreement() -> Table:
    from sklearn.linear_model import Lasso, Ridge

    x, y = diabetes()
    n, steepest = len(x), curvature(x)[1]
    rows: list[tuple[Cell, ...]] = []
    for alpha in ALPHAS:
        theirs = torch.from_numpy(Ridge(alpha=n * alpha, fit_intercept=False, tol=1e-12).fit(x, y).coef_)
        l2 = 2 * n * alpha
        ours = descend(x, y, 1 / (steepest + l2), 5000, l2=l2)[-1]
        rows.append((f"L2, {alpha:g}", _gap(ours, theirs), _gap(closed_form(x, y, l2), theirs), 0, 0))
    for alpha in ALPHAS:
        lasso = Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(x, y)
        theirs = torch.from_numpy(lasso.coef_)
        ours = descend(x, y, 1 / steepest, 10_000, l1=2 * n * alpha)[-1]
        rows.append(
            (f"L1, {alpha:g}", _gap(ours, theirs), "none", int((ours == 0).sum()), int((theirs == 0).sum()))
        )
    return Table(
        title="Coefficients against scikit-learn's Ridge and Lasso, diabetes",
        columns=(
            "penalty, alpha",
            "largest difference, descent",
            "closed form",
            "zeros of 10, ours",
            "scikit-learn's",
        ),
        rows=tuple(rows),
        note=(
            "On the scale of the mean squared error. Lasso minimises |Xw - y|^2 / (2n) + alpha |w|, which "
            "is l1 = 2 n alpha beside our sum of squares; Ridge minimises |Xw - y|^2 + a |w|^2, which is l2 "
            "= 2 a, and a = n alpha here. Proximal steps make exact zeros."
        ),
    )


def _gap(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max())


def _paths() -> Plot:
    x, y = diabetes()
    n, steepest = len(x), curvature(x)[1]
    alphas = torch.logspace(-3, 1, 25, dtype=torch.float64)
    ridge = torch.stack([closed_form(x, y, float(2 * n * alpha)) for alpha in alphas])
    lasso = torch.stack([descend(x, y, 1 / steepest, 3000, l1=float(2 * n * alpha))[-1] for alpha in alphas])
    figure, drawn = plots.panels(2, width=4.8, height=3.4)
    for axes, path, name in zip(
        drawn, (ridge, lasso), ("L2 shrinks all", "L1 drops one after another"), strict=True
    ):
        for feature, line in zip(load_diabetes().feature_names, path.T, strict=True):
            axes.semilogx(alphas, line, label=feature)
        axes.set(xlabel="alpha", ylabel="coefficient", title=name)
    drawn[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return Plot(
        title="Regularisation paths of the diabetes data",
        note="Features and target have variance 1; alpha as in the table above.",
        png=plots.png(figure),
    )


def _curves() -> Plot:
    figure, (first, second) = plots.panels(2, width=5.6, height=3.4)
    products = torch.logspace(-3, 0.45, 60, dtype=torch.float64)
    for index, (n, m) in enumerate(((10, 10), (40, 10), (1000, 10))):
        epochs = [Epoch(n, m, 1.0, float(product) * m) for product in products]
        first.semilogx(products, [e.formula for e in epochs], color=f"C{index}", label=f"n = {n}, m = {m}")
        some = epochs[::6]
        first.plot(products[::6], [e.kept() for e in some], "o", color=f"C{index}", markersize=4)
    first.plot(products, (-products).exp(), "k:", label="limit, exp(-eta lambda/m)")
    first.set(xlabel="eta lambda/m", ylabel="weight left after an epoch", ylim=(-1.1, 1.1))
    first.set_title("The limit holds for large n\n(lines: formula, dots: measured)")
    first.legend(loc="lower left", fontsize=8)
    for name, values in sizes().items():
        second.loglog(WIDTHS, values, "o-", label=name, markersize=4)
    second.plot(WIDTHS, [width**-0.5 for width in WIDTHS], "k:", label="1/sqrt(n_w)")
    second.set(
        xlabel="number of weights n_w",
        ylabel="size of a weight",
        title="Size 1/sqrt(n_w): where it holds and where not",
    )
    second.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return Plot(title="Shrink and size", note="The numbers of the tables above.", png=plots.png(figure))


def _shrink() -> Table:
    rows = tuple(
        (
            f"{e.n}, {e.m}, {e.eta:g}, {e.penalty:g}",
            e.eta * e.penalty / e.n,
            e.kept(),
            e.formula,
            e.limit,
            e.limit / e.formula - 1,
        )
        for e in EPOCHS
    )
    worst = max(abs(e.kept() / e.formula - 1) for e in EPOCHS)
    return Table(
        title="What an epoch leaves of a weight without a data gradient",
        columns=(
            "n, m, eta, lambda", "eta lambda/n", "measured", "(1 - eta lambda/n)^(n/m)", "exp(-eta lambda/m)",
            "limit against formula",
        ),
        rows=rows,
        note=(
            f"The formula is exact (largest difference {worst:.0e}). The limit needs eta lambda/n to be "
            "small: it is off by about (eta lambda)^2 / (2 n m). Above eta lambda = n the weight changes "
            "its sign, and above 2 n it grows, which the exponential never does."
        ),
    )  # fmt: skip


def _shrink_otherwise() -> Table:
    plain, tamed = Epoch(1000, 10, 0.1, 1.0), Epoch(442, 34, 0.1, 170.0)
    x, y = diabetes()
    start = closed_form(x, y)
    optimum = closed_form(x, y, l2=2 * tamed.penalty)
    rows: list[tuple[Cell, ...]] = [
        ("no data gradient, after 1", plain.kept(), plain.formula, plain.limit),
        ("momentum 0.9, per epoch", plain.kept(0.9, epochs=40), plain.formula, plain.limit),
        (
            "the same, formulas with eta / (1 - 0.9)",
            plain.kept(0.9, epochs=40),
            *(getattr(Epoch(1000, 10, 1.0, 1.0), name) for name in ("formula", "limit")),
        ),
    ]
    for epochs in (1, 10, 100):
        measured = tamed.kept_with_data(x, y, start, epochs)
        rows.append(
            (
                f"diabetes, from least squares, after {epochs}",
                measured,
                tamed.formula**epochs,
                tamed.limit**epochs,
            )
        )
    return Table(
        title="Where the shrink differs from the formula, by epochs",
        columns=("case", "measured", "(1 - eta lambda/n)^(n/m)", "exp(-eta lambda/m)"),
        rows=tuple(rows),
        note=(
            "Momentum makes the step 1 / (1 - 0.9) as large and the shrink with it. A data gradient holds "
            "weights up: they do not decay to 0 but to the ridge solution, here "
            f"{float(optimum.norm() / start.norm()):.3f} of least squares, about which mini-batches jitter."
        ),
    )


def _adam() -> Table:
    updates, rate = 500, 1e-3
    optimisers = {
        "SGD, L2": (lambda p: torch.optim.SGD(p, lr=rate), 1.0),
        "Adam, L2": (lambda p: torch.optim.Adam(p, lr=rate), 1.0),
        "AdamW, decoupled": (lambda p: torch.optim.AdamW(p, lr=rate, weight_decay=1.0), 0.0),
    }
    rows = tuple(
        (name, *(kept_under_noise(make, scale, l2, updates) for scale in NOISE), (1 - rate) ** updates)
        for name, (make, l2) in optimisers.items()
    )
    return Table(
        title="Decoupled decay is not L2 under Adam",
        columns=("optimiser", *(f"gradient scale {scale:g}" for scale in NOISE), "(1 - eta lambda)^t"),
        rows=rows,
        note=(
            f"What is left of a weight after t = {updates} updates at eta {rate:g} and lambda 1: the mean of "
            "2,000 weights whose data gradients are noise of the given scale. Adam divides the penalty by "
            "the gradient's scale as it does the rest, so features with large gradients are hardly "
            "penalised."
        ),
    )


@cache
def sizes() -> dict[str, list[float]]:
    """Return the size of a weight at every width, by case."""

    def hidden(l2: float, scale: float | None) -> list[float]:
        return [
            _rms(output_weights(width, l2, width**-0.5 if scale is None else scale, 60)) for width in WIDTHS
        ]

    return {
        "1 / spread of sum w x at w ~ N(0, 1)": [1 / _spread(width) for width in WIDTHS],
        "hidden to output, L2, started at 1/sqrt(n_w)": hidden(HIDDEN_L2, None),
        "hidden to output, L2, started at 0.1": hidden(HIDDEN_L2, 0.1),
        "hidden to output, no penalty, started at 0.1": hidden(0.0, 0.1),
        "ridge, independent features of equal use": [_rms(_ridge(n, "equal")) for n in WIDTHS],
        "ridge, copies of one feature": [_rms(_ridge(n, "copies")) for n in WIDTHS],
        "ridge, one useful feature: its weight": [float(_ridge(n, "one").abs().max()) for n in WIDTHS],
    }


def _sizes() -> Table:
    return Table(
        title="The size of weights against their number n_w",
        columns=("weights, root mean square", *(f"n_w = {width}" for width in WIDTHS), "exponent of n_w"),
        rows=tuple((name, *values, _exponent(values)) for name, values in sizes().items()),
        note=(
            "1/sqrt(n_w) is the exponent -0.5. A sum of n_w independent terms spreads like sqrt(n_w): "
            "weights of that size keep it at 1. The trained weights of a hidden layer (scikit-learn's "
            f"digits, lambda {HIDDEN_L2:g}) forget a start that was the same for all widths, and with L2 "
            "they come closer to -0.5 than without. It breaks for copies of one feature, which share its "
            "weight as 1/n_w, and for one useful feature among useless ones, whose weight does not depend "
            "on n_w."
        ),
    )


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _exponent(values: list[float]) -> float:
    """Return the slope of log value against log width, by least squares."""
    x = torch.tensor(WIDTHS, dtype=torch.float64).log()
    y = torch.tensor(values, dtype=torch.float64).log()
    return float(closed_form((x - x.mean())[:, None], y - y.mean())[0])


def _spread(width: int) -> float:
    random = generator(0, "spread", width)
    x, w = torch.randn((2000, width), generator=random), torch.randn((width, 50), generator=random)
    return float((x @ w).std())


def _ridge(width: int, kind: str) -> Tensor:
    """Return ridge weights at l2 = 1; 2,048 examples, features and target of variance 1."""
    random = generator(0, f"ridge {kind}", width)
    x = torch.randn((2048, width), generator=random, dtype=torch.float64)
    if kind == "copies":
        x = x[:, :1].expand(-1, width)
    y = x.sum(1) / width**0.5 if kind == "equal" else x[:, 0]
    return closed_form(x, y, l2=1.0)
