"""Divergences: their values for distributions that do not touch, which are metrics, what each needs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training import plots
from training.data.datasets import FASHION_CLASSES, Dataset, Images, fashion_mnist
from training.metrics.divergences import (
    biased_mmd,
    median_distance,
    mmd,
    rbf,
    sliced_wasserstein,
    wasserstein,
)
from training.metrics.pca import PCA
from training.runtime.randomness import generator
from training.studies.findings import Cell, Findings, Plot, Table
from training.studies.maths.axioms import TRIPLES, axioms, distances
from training.studies.maths.segments import segments
from training.studies.maths.two_samples import (
    Statistic,
    js_neighbours,
    kl_histogram,
    kl_neighbours,
    mmd_permutation_test,
    permutation_test,
)

SHIFTS = (0.25, 0.5, 0.75, 1.5, 3.0, 6.0, 12.0)
FAR = 6.0
DIMENSIONS = (1, 2, 4, 8, 16)
MULTIPLES = ((0.01,), (0.1,), (1.0,), (10.0,), (100.0,), (0.5, 1.0, 2.0))
"""Bandwidths, or several added up, as multiples of the median distance."""
TRIALS, ROWS, PERMUTATIONS = 100, 100, 199
LEVEL = 0.05


def run() -> Findings:
    """Return disjoint supports, metric axioms, estimators' errors, powers of tests, and real images."""
    dataset = fashion_mnist()  # first: the rest takes minutes
    return Findings(
        title="Divergences",
        question=(
            "KL, Jensen-Shannon, Wasserstein and MMD: which still give a direction where two distributions "
            "do not touch, which are metrics, which need a density or an estimator of one, and does MMD "
            "really need neither?"
        ),
        parts=(
            _disjoint(),
            _disjoint_plot(),
            _metrics(),
            _kl_errors(),
            _unbiased(),
            _powers(),
            _images(dataset),
        ),
    )


def _disjoint() -> Table:
    found = {shift: segments(shift) for shift in SHIFTS}
    names = [name for name in found[SHIFTS[0]] if name != "KL"]
    far = found[FAR]
    return Table(
        title="A uniform segment [0, 1] and its copy moved by theta",
        columns=("theta", "KL", *(column for name in names for column in (name, f"d {name} / d theta"))),
        rows=tuple(
            (
                shift,
                "infinite" if math.isinf(values["KL"][0]) else values["KL"][0],
                *(cell for name in names for cell in values[name]),
            )
            for shift, values in found.items()
        ),
        note=(
            "KL is infinite at any theta above 0. JS has a gradient while the segments overlap; beyond, it "
            f"is log 2 = {math.log(2):.4f} and flat. W1 is theta, with gradient 1 at any distance. MMD with "
            f"a fixed bandwidth has kept {abs(far['MMD², bandwidth 1'][1]):.1e} of gradient at theta = "
            f"{FAR:g}; with the bandwidth set to the median distance anew at each theta it has "
            f"{far['MMD², bandwidth median'][1]:.1e}: that MMD needs no overlap holds only for a bandwidth "
            "of the distance's size."
        ),
    )


def _disjoint_plot() -> Plot:
    shifts = [0.06 + 0.1 * step for step in range(80)]
    found = [segments(shift) for shift in shifts]
    figure, (values, slopes) = plots.panels(2)
    for name in found[0]:
        if name != "KL":
            values.plot(shifts, [at[name][0] for at in found], label=name)
            slopes.semilogy(shifts, [max(abs(at[name][1]), 1e-12) for at in found], label=name)
    values.axhline(math.log(2), color="0.5", linestyle=":", label="log 2")
    values.set(xlabel="theta, in segments", ylabel="divergence (JS in nats)", ylim=(0, 3))
    values.set_title("JS and MMD stop growing, W1 does not")
    slopes.set(xlabel="theta, in segments", ylabel="derivative by theta", ylim=(1e-6, 3))
    slopes.set_title("JS has no gradient once the segments part")
    figure.legend(*values.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return Plot(
        title="Value and gradient over theta",
        note=(
            "Derivatives below 1e-6 lie under the frame; KL is infinite throughout and not drawn. The median "
            "bandwidth is held fixed in the derivative but differs from theta to theta, which is why MMD "
            "with it falls while its derivative is positive: two such values have no common scale."
        ),
        png=plots.png(figure),
    )


def _metrics() -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, distance in distances().items():
        asymmetry, excess, least = axioms(distance)
        holds = asymmetry == 0 and excess == 0 and least > 0
        rows.append((name, asymmetry, excess, least, "none refuted" if holds else "not a metric"))
    return Table(
        title=f"The axioms of a metric over {TRIPLES + 1} triples of distributions on five places",
        columns=(
            "divergence",
            "largest D(p, q) - D(q, p)",
            "largest D(p, r) - D(p, q) - D(q, r)",
            "least D(p, q), p and q different",
            "verdict",
        ),
        rows=tuple(rows),
        note=(
            "Numbers refute and cannot prove; the proofs are Endres & Schindelin 2003 (root of JS), Villani "
            "2009 (Wasserstein), Sriperumbudur et al. 2010 (MMD with a characteristic kernel). Linear MMD is "
            "the distance of the means: it is zero between half at each end and all in the middle."
        ),
    )


def _kl_errors() -> Table:
    """KL of N(0, I) and N(delta, I) with |delta| = 1, hence 0.5 nats in any dimension."""
    rows: list[tuple[Cell, ...]] = []
    for dimension in DIMENSIONS:
        cells: list[Cell] = [dimension]
        for size in (100, 1000):
            samples = [_gaussians(dimension, size, "kl", trial) for trial in range(10)]
            neighbours = torch.tensor([kl_neighbours(a, b) for a, b in samples])
            histogram = torch.tensor([kl_histogram(a, b, 0.5) for a, b in samples])
            cells += [float(neighbours.mean()), float(neighbours.std()), round(float(histogram.mean()), 6)]
        rows.append(tuple(cells))
    return Table(
        title="KL needs an estimator: 0.5 nats between two Gaussians, as estimated",
        columns=(
            "dimension",
            *(
                f"{column}, n = {size}"
                for size in (100, 1000)
                for column in ("5 neighbours", "its spread", "histogram, cells of 0.5")
            ),
        ),
        rows=tuple(rows),
        note=(
            "Mean of 10 pairs of samples. Neighbours come nearer with n, slowly in many dimensions; a "
            "histogram does in one and two, and has nothing to count in sixteen."
        ),
    )


def _gaussians(
    dimension: int, size: int, purpose: str, trial: int, shift: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return rows of N(0, I) and of N(delta, I) with |delta| = `shift` along the diagonal."""
    random = generator(0, f"{purpose} {dimension} {size}", trial)
    a, b = torch.randn((2, size, dimension), generator=random, dtype=torch.float64)
    return a, b + shift / math.sqrt(dimension)


def _unbiased() -> Table:
    rows: list[tuple[Cell, ...]] = []
    dimension, sigma = 16, 4.0
    for shift in (0.0, 1.0):
        spread = sigma**2 + 2
        truth = 2 * (sigma**2 / spread) ** (dimension / 2) * (1 - math.exp(-(shift**2) / (2 * spread)))
        for size in (10, 40, 160):
            samples = [_gaussians(dimension, size, "mmd", trial, shift) for trial in range(400)]
            unbiased = torch.stack([mmd(a, b, rbf([sigma])) for a, b in samples])
            biased = torch.stack([biased_mmd(a, b, rbf([sigma])) for a, b in samples])
            error = float(unbiased.std()) / math.sqrt(len(samples))
            rows.append((shift, size, truth, float(unbiased.mean()), error, float(biased.mean())))
    return Table(
        title="MMD² without an estimator: the mean over 400 pairs of samples in 16 dimensions",
        columns=("shift", "rows", "closed form", "U-statistic", "its standard error", "V-statistic"),
        rows=tuple(rows),
        note=(
            "The U-statistic, which leaves out a row's kernel with itself, is right on average at any size, "
            "and no density is estimated. The V-statistic, which keeps it, is not: at equal distributions it "
            f"is {rows[0][5]:.3g} for {rows[0][1]} rows and {rows[2][5]:.3g} for {rows[2][1]}. One "
            f"bandwidth, {sigma:g}."
        ),
    )


def alternatives(trial: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return pairs of samples (ROWS, D) that differ in one way each, or not at all."""
    random = generator(0, "power", trial)
    a, b = torch.randn((2, ROWS, 16), generator=random, dtype=torch.float64)
    x, y, u = torch.rand((3, ROWS, 1), generator=random, dtype=torch.float64)
    ripple = (y * 10).floor() / 10 + 0.05 * u  # the left half of each of ten stripes
    return {
        "nothing, 16-d": (a, b),
        "mean, 16-d": (a, b + 0.25),
        "spread, 16-d": (a, 1.25 * b),
        "fine stripes, 1-d": (x, ripple + 0.025),
    }


def _powers() -> Table:
    counts: dict[str, list[int]] = {}
    for trial in range(TRIALS):
        for name, (a, b) in alternatives(trial).items():
            median = median_distance(a, b)
            pooled = torch.cat([a, b])
            rejected = []
            for multiples in MULTIPLES:
                gram = rbf([multiple * median for multiple in multiples])(pooled, pooled)
                random = generator(trial, "permutations")
                rejected.append(mmd_permutation_test(gram, ROWS, PERMUTATIONS, random)[1] <= LEVEL)
            counts[name] = [
                sum(pair) for pair in zip(counts.get(name, [0] * len(MULTIPLES)), rejected, strict=True)
            ]
    return Table(
        title=f"What the bandwidth lets MMD see: share of {TRIALS} trials with p at most {LEVEL}",
        columns=(
            "what differs",
            *(f"{', '.join(f'{multiple:g}' for multiple in multiples)} x median" for multiples in MULTIPLES),
        ),
        rows=tuple((name, *(count / TRIALS for count in row)) for name, row in counts.items()),
        note=(
            f"{ROWS} rows on each side, {PERMUTATIONS} permutations. The level is kept at any bandwidth; the "
            "power is not. Far above the median the kernel is as good as linear and sees means only; far "
            "below, every row is alone. Stripes finer than the spread ask for less than the median. So MMD "
            "needs no density, but a choice of kernel that knows what to search for."
        ),
    )


def _images(dataset: Dataset) -> Table:
    latents = _pca(dataset.train, dataset.test, 16)
    labels = dataset.test.labels
    first, rest = _drawn(latents["train"], "train"), _drawn(latents["test"], "test")
    by_class = {
        name: _drawn(latents["test"][labels == index], name) for index, name in enumerate(FASHION_CLASSES)
    }
    pairs = {
        "training and test images": (first, rest),
        "shirts and coats": (by_class["Shirt"], by_class["Coat"]),
        "shirts and sneakers": (by_class["Shirt"], by_class["Sneaker"]),
    }
    rows: list[tuple[Cell, ...]] = []
    for name, (a, b) in pairs.items():
        cells: list[Cell] = [name]
        for statistic in _statistics(median_distance(a, b)).values():
            cells += permutation_test(statistic, a, b, PERMUTATIONS, generator(0, "images"))
        rows.append(tuple(cells))
    return Table(
        title=f"Fashion-MNIST in 16 principal components, {len(first)} images on each side",
        columns=("pair", *(column for name in _statistics(1.0) for column in (name, "p"))),
        rows=tuple(rows),
        note=(
            f"p by {PERMUTATIONS} permutations, so never under {1 / (1 + PERMUTATIONS):g}. The first pair "
            "should differ by chance alone: there the exact Wasserstein distance is far above zero, as in 16 "
            "dimensions two samples always are apart, and only its p-value shows that it is chance. "
            "JS stops near log 2, KL by neighbours is lower than the truth."
        ),
    )


def _pca(train: Images, test: Images, dimensions: int) -> dict[str, Tensor]:
    """Return the coefficients of both sets in the first principal components of the training images."""
    seen, unseen = (images.unit() for images in (train, test))
    pca = PCA.fit(seen, dimensions)
    return {"train": pca.project(seen, dimensions), "test": pca.project(unseen, dimensions)}


def _drawn(latents: Tensor, purpose: str, count: int = 200) -> Tensor:
    return latents[torch.randperm(len(latents), generator=generator(0, f"draw {purpose}"))[:count]].double()


def _statistics(median: float) -> dict[str, Statistic]:
    kernel = rbf([0.5 * median, median, 2 * median])
    return {
        "KL (neighbours)": kl_neighbours,
        "JS (neighbours)": js_neighbours,
        "W1 (exact)": lambda a, b: wasserstein(a, b).item(),
        "W1 (sliced)": lambda a, b: sliced_wasserstein(a, b, 64, generator(0, "slices"), order=1).item(),
        "MMD²": lambda a, b: mmd(a, b, kernel).item(),
    }
