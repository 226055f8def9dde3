"""The linear autoencoder against PCA, and data without correlated features, where no short latent can win."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.data.datasets import fashion_mnist
from training.metrics.pca import PCA
from training.plots import panels, png
from training.recipes.linear_maps import Descent, Maps, covariance, descend, largest_angle_deg, start
from training.runtime.randomness import generator
from training.studies.findings import Cell, Findings, Plot, Table

DIMENSIONS = 16
STEPS = 2000
KEEP = 50
START = 0.1
SEEDS = (0, 1)
SIDE = 14
"""Side in pixels of the images without correlation, and of the real ones beside them."""
LATENT_DIM = 49
FEW, MANY = 500, 20_000
UPDATES = 1500
BATCH = 256
HIDDEN = 256
Rebuild = Callable[[Tensor], Tensor]


def run() -> Findings:
    """Descend to PCA, then search a latent where there is nothing to find."""
    dataset = fashion_mnist()
    train, test = (part.unit() for part in (dataset.train, dataset.test))
    rows, others = train.flatten(1).double(), test.flatten(1).double()
    mean = rows.mean(0)
    seen, unseen = covariance(rows, mean), covariance(others, mean)
    components = PCA.fit(train, DIMENSIONS).components.T
    descents = [descend(start(len(mean), DIMENSIONS, START, seed), seen, STEPS, KEEP) for seed in SEEDS]
    return Findings(
        title="Linear autoencoder",
        question="A linear autoencoder must find what principal component analysis finds. Does descent get "
        "there, is its latent the same, and can any autoencoder shorten data whose features are not "
        "correlated?",
        parts=(
            pca_table(descents, components, unseen),
            path_plot(descents, components, seen, unseen),
            latent_table(descents, components, seen),
            uncorrelated_table(train, test),
        ),
    )


def pca_table(descents: list[Descent], components: Tensor, unseen: Tensor) -> Table:
    """Compare where the descents ended with PCA, on test images."""
    best = float(Maps(components.T, components).error(unseen)) / len(unseen)
    rows: list[tuple[Cell, ...]] = [("PCA", 0, best, 1.0, 0.0, 0.0)]
    for seed, descent in zip(SEEDS, descents, strict=True):
        maps = descent.maps
        error = float(maps.error(unseen)) / len(unseen)
        angles = largest_angle_deg(maps.w, components), largest_angle_deg(maps.v.T, components)
        rows.append((f"linear autoencoder, seed {seed}", STEPS, error, error / best, *angles))
    return Table(
        title=f"The same error and the same span, at {DIMENSIONS} dimensions",
        note="Test images of Fashion-MNIST, per pixel in [0, 1], not clipped. Targets: at most 1.001 of "
        "PCA's error, largest principal angle of the decoder under 1 degree. The loss is exact, over all "
        "training images at once through their covariance. The encoder comes less near: in directions in "
        "which images hardly vary no gradient moves it from its random start, and none needs to.",
        columns=(
            "method", "steps", "test MSE", "/ PCA", "largest angle, decoder (degrees)", "encoder (degrees)",
        ),
        rows=tuple(rows),
    )  # fmt: skip


def path_plot(descents: list[Descent], components: Tensor, seen: Tensor, unseen: Tensor) -> Plot:
    """Draw the error and the angle on the way down, and when each component is learned."""
    figure, axes = panels(3, columns=3, width=4.3)
    best = float(Maps(components.T, components).error(unseen))
    for seed, descent in zip(SEEDS, descents, strict=True):
        excess = [float(maps.error(unseen)) / best - 1 for maps in descent.path]
        axes[0].plot(descent.steps, [abs(value) for value in excess], label=f"seed {seed}")
        angles = [largest_angle_deg(maps.w, components) for maps in descent.path]
        axes[1].plot(descent.steps, angles, label=f"seed {seed}")
    axes[0].axhline(1e-3, color="black", linestyle="--", linewidth=1, label="target 1.001")
    axes[0].set(yscale="log", ylabel="|test error / PCA's - 1|", title="The error is there early")
    axes[1].axhline(1, color="black", linestyle="--", linewidth=1, label="target 1 degree")
    axes[1].set(yscale="log", ylabel="angle to PCA's span (degrees)", title="The span turns slowly")
    early = descend(start(len(seen), DIMENSIONS, START / 10, SEEDS[0]), seen, 300, 2, 0.0)
    for index in range(6):
        direction = components[:, index]
        found = [float(direction @ maps.w @ (maps.v @ direction)) for maps in early.path]
        axes[2].plot(early.steps, found, label=f"component {index + 1}")
    axes[2].set(ylabel="share kept, pᵀW V p", title="Components come one after another")
    for ax in axes:
        ax.set_xlabel("gradient steps")
        ax.legend(fontsize=7)
    values = torch.linalg.eigvalsh(seen).flip(0)
    return Plot(
        title="The path of descent",
        note=f"The error nears PCA's long before the span does, since component {DIMENSIONS} is worth hardly "
        f"more than the next (variances {float(values[DIMENSIONS - 1]):.3f} and "
        f"{float(values[DIMENSIONS]):.3f}, the first has {float(values[0]):.1f}): mixing them costs "
        "little. On the right, without momentum and from a start ten times smaller, components are learned "
        "in the order of their variance.",
        png=png(figure),
    )


def latent_table(descents: list[Descent], components: Tensor, seen: Tensor) -> Table:
    """Return how the latents differ from PCA's, and the map between them."""
    rows: list[tuple[Cell, ...]] = [latent_row("PCA", Maps(components.T, components), components, seen)]
    for seed, descent in zip(SEEDS, descents, strict=True):
        rows.append(latent_row(f"linear autoencoder, seed {seed}", descent.maps, components, seen))
    return Table(
        title="The same span, other latents",
        note="V x = A (Pᵀ x) with A = V P, P PCA's components: the latent is PCA's up to an invertible map, "
        "and the last column, the part of the latent's variance that A does not explain, is nearly nothing. "
        "Within the span the loss does not care for the axes, so the decoder's columns are not orthogonal, "
        "the latent's numbers are correlated, and none of them is the first.",
        columns=(
            "latents of", "largest cosine between decoder columns", "largest correlation in the latent",
            "variance, largest / smallest", "condition of A", "unexplained share of variance",
        ),
        rows=tuple(rows),
    )  # fmt: skip


def latent_row(name: str, maps: Maps, components: Tensor, seen: Tensor) -> tuple[Cell, ...]:
    """Return one row of the table of latents."""
    latents = maps.v @ seen @ maps.v.T
    between = maps.v @ components
    rest = maps.v - between @ components.T
    variances = latents.diagonal()
    return (
        name,
        off_diagonal(maps.w.T @ maps.w),
        off_diagonal(latents),
        float(variances.max() / variances.min()),
        float(torch.linalg.cond(between)),
        float((rest @ seen @ rest.T).trace() / variances.sum()),
    )


def off_diagonal(gram: Tensor) -> float:
    """Return the largest size of an entry beside the diagonal, after scaling the diagonal to 1."""
    root = gram.diagonal().sqrt()
    return float((gram / torch.outer(root, root)).fill_diagonal_(0).abs().max())


def uncorrelated_table(train: Tensor, test: Tensor) -> Table:
    """Return the errors of short latents for noise, for real images, and for images with shuffled pixels."""
    rows: list[tuple[Cell, ...]] = []
    for name, (many, unseen) in data_sets(train, test).items():
        for count in (FEW, MANY):
            seen = many[:count]
            mean = seen.mean(0)
            components = PCA.fit(seen, LATENT_DIM).components.T
            first = start(SIDE**2, LATENT_DIM, START, 0)
            linear = descend(first, covariance(seen, mean), STEPS // 4, STEPS).maps
            pca, descended = projection(components.T, components, mean), projection(linear.v, linear.w, mean)
            rebuilders = (pca, descended, nonlinear(seen))
            errors = [residual(rebuild(part), part) for rebuild in rebuilders for part in (seen, unseen)]
            rows.append((name, count, *errors))
    return Table(
        title=f"A latent of {LATENT_DIM} numbers for {SIDE**2} pixels",
        note="Mean squared error where every pixel has variance 1; "
        f"1 - k/d = {1 - LATENT_DIM / SIDE**2:.2f}. "
        "Of noise no latent keeps more on new images, linear or not. Few training images look like a win "
        "(train far below test): they were learned by heart. Shuffling each pixel over the images "
        "keeps every pixel's own distribution and takes the correlation away, and with it all that a linear "
        "latent gained on real images. Uncorrelated is not incompressible, though: shuffled pixels are "
        "mostly black, and a nonlinear latent profits from that too (test error of the last row "
        f"{float(rows[-1][7]):.3f}). The claim holds for linear latents; for nonlinear ones it depends on "
        "how each feature is distributed.",
        columns=(
            "data", "training images", "PCA: train", "test", "linear: train", "test",
            "nonlinear: train", "test",
        ),
        rows=tuple(rows),
    )  # fmt: skip


def projection(v: Tensor, w: Tensor, mean: Tensor) -> Rebuild:
    """Return what takes rows through the latent V (x - mean) and back."""
    return lambda rows: mean + (rows - mean) @ v.T @ w.T


def residual(rebuilt: Tensor, rows: Tensor) -> float:
    """Return the mean squared error per number."""
    return float((rebuilt - rows).square().mean())


def data_sets(train: Tensor, test: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return training and test rows (N, SIDE²) by name; pixels have mean 0 and variance 1 in training."""
    real = [F.avg_pool2d(part, 2).flatten(1).double() for part in (train[:MANY], test)]
    mean, deviation = real[0].mean(0), real[0].std(0)
    real = [(part - mean) / deviation for part in real]
    shuffled = [shuffle_columns(part, index) for index, part in enumerate(real)]
    random = generator(0, "data without correlation")
    normal = [torch.randn(part.shape, generator=random, dtype=torch.float64) for part in real]
    flat = [
        (12**0.5) * (torch.rand(part.shape, generator=random, dtype=torch.float64) - 0.5) for part in real
    ]
    return {
        "Gaussian noise": (normal[0], normal[1]),
        "uniform noise": (flat[0], flat[1]),
        "real images": (real[0], real[1]),
        "real, each pixel shuffled over images": (shuffled[0], shuffled[1]),
    }


def shuffle_columns(rows: Tensor, index: int) -> Tensor:
    """Return the rows with each column in a random order of its own."""
    keys = torch.rand(rows.shape, generator=generator(0, "shuffled pixels", index))
    return rows.gather(0, keys.argsort(0))


def nonlinear(rows: Tensor) -> Rebuild:
    """Return an autoencoder trained by Adam, with one hidden layer on each side of its latent."""
    d = rows.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Linear(d, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, LATENT_DIM),
            nn.Linear(LATENT_DIM, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, d),
        )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES)
    random = generator(0, "batches")
    data = rows.float()
    for _ in range(UPDATES):
        x = data[torch.randint(len(data), (BATCH,), generator=random)]
        optimizer.zero_grad()
        (network(x) - x).square().mean().backward()
        optimizer.step()
        schedule.step()
    network.requires_grad_(False)
    return lambda rows: network(rows.float()).double()
