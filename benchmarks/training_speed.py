"""Images per second in training: our recipes beside the peers' own scripts, with the same networks.

    python -m benchmarks.training_speed --peers PyTorch-GAN

Each measurement is a process of its own with as many threads as cores, in turns. The networks of a GAN are
those of the peer's script, put into our recipe; pythae is given the network of our VAE. Losses, optimisers,
data loading and arithmetic are each side's own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks.budget import PEERS, Spent
from benchmarks.scripts import CYCLEGAN_SIDE, SCRIPTS, Stopwatch, networks_of, timed
from service.runtime.cpu import usable_cores
from training.config import Config
from training.data.datasets import Dataset, Images, fashion_mnist
from training.data.domain_pairs import DomainPair, domain_pair
from training.recipes import RECIPES
from training.recipes.base import ImageShape, Recipe
from training.runs.setup import batches_of
from training.runs.trainer import Trainer
from training.runtime.devices import fastest
from training.runtime.progress import Progress
from training.runtime.run_folder import Run
from training.studies.findings import Findings, Table, markdown, save

REPEATS = 3
PYTHAE = PEERS / "venv" / "bin" / "python"
"""An interpreter that has pythae."""
TARGET = 1.5


class Logits(nn.Module):
    """A peer's discriminator as our recipes want it: one logit per image, (N,), without its sigmoid."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        if hasattr(self.network, "adv_layer"):
            features = self.network.model(images).flatten(1)
            return self.network.adv_layer[0](features)[:, 0].float()
        return self.network.model(images.flatten(1))[:, 0].float()


def gan(scripts: Path, recipe: str) -> tuple[Recipe, Config, Dataset]:
    """Return our recipe with the networks of dcgan.py or wgan_gp.py."""
    script = scripts / {"gan": "dcgan/dcgan.py", "wgan-gp": "wgan_gp/wgan_gp.py"}[recipe]
    found = networks_of(script)
    options = found["opt"]
    dataset = resized(fashion_mnist(), options.img_size)
    made, config = build(recipe, ImageShape(1, options.img_size, dataset.classes), options.batch_size)
    made.latent_dim = options.latent_dim
    critic = "critic" if recipe == "wgan-gp" else "discriminator"
    swap(made, config, {"generator": found["generator"], critic: Logits(found["discriminator"])})
    return made, config, dataset


def cyclegan(scripts: Path) -> tuple[Recipe, Config, DomainPair]:
    """Return our recipe with the networks of cyclegan.py."""
    found = networks_of(scripts / "cyclegan" / "cyclegan.py")
    colour = resized(fashion_mnist(), CYCLEGAN_SIDE, channels=3)
    pair = domain_pair(colour, "bags-boots")
    shape = ImageShape(3, CYCLEGAN_SIDE, colour.classes, pair.domains)
    made, config = build("cyclegan", shape, found["opt"].batch_size)
    names = {"a_to_b": "G_AB", "b_to_a": "G_BA", "critic_a": "D_A", "critic_b": "D_B"}
    swap(made, config, {ours: found[theirs] for ours, theirs in names.items()})
    return made, config, pair


def vae() -> tuple[Recipe, Config, Dataset]:
    """Return our VAE as it is."""
    dataset = fashion_mnist()
    made, config = build("vae", ImageShape(1, 28, dataset.classes), 100)
    return made, config, dataset


def build(recipe: str, shape: ImageShape, batch: int) -> tuple[Recipe, Config]:
    """Return a recipe of ours with its own settings."""
    kind = RECIPES[recipe]
    config = kind.config_type(batch_size=batch, updates=1_000_000, epochs=10_000, precision=fastest("cpu"))
    return kind(config, shape, torch.device("cpu")), config


def swap(recipe: Recipe, config: Config, networks: dict[str, nn.Module]) -> None:
    """Put other networks into a recipe, with optimisers like those it had."""
    for name, network in networks.items():
        recipe.add(name, network, averaged=name in recipe.averaged)
        setattr(recipe, name, network)
    members = {"translators": ("a_to_b", "b_to_a"), "critics": ("critic_a", "critic_b")}
    for name in recipe.optimizers:
        betas = recipe.optimizers[name].param_groups[0]["betas"]
        recipe.optimizers[name] = recipe.adamw(config, *members.get(name, (name,)), betas=betas)


def resized(dataset: Dataset, side: int, channels: int = 1) -> Dataset:
    """Return the data set with images of another side."""

    def larger(images: Images) -> Images:
        pixels = nn.functional.interpolate(images.pixels.float(), size=(side, side), mode="bilinear")
        return Images(pixels.round().to(torch.uint8).expand(-1, channels, -1, -1).contiguous(), images.labels)

    if (side, channels) == (dataset.size, dataset.channels):
        return dataset
    return Dataset(dataset.name, larger(dataset.train), larger(dataset.test), dataset.classes, dataset.sha256)


class TimedBatches:
    """A feed that ends the training once the time is over."""

    def __init__(self, batches: Any, watch: Stopwatch) -> None:
        self._batches, self._watch = batches, watch
        self.images = batches.images

    def batch(self, update: int) -> tuple[Tensor, Tensor]:
        """Return the next batch."""
        self._watch.tick()
        return self._batches.batch(update)


def train(recipe: Recipe, config: Config, data: Dataset | DomainPair, watch: Stopwatch) -> None:
    """Train until the time is over."""
    batches = TimedBatches(batches_of(data, config, recipe), watch)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        run.sheets.mkdir()
        progress = Progress(Console(quiet=True), config.batch_size)
        Trainer(recipe, config, batches, run, lambda _: None, progress).train()


OURS: dict[str, Callable[[Path], tuple[Recipe, Config, Dataset | DomainPair]]] = {
    "vae": lambda _: vae(),
    "gan": lambda scripts: gan(scripts, "gan"),
    "wgan-gp": lambda scripts: gan(scripts, "wgan-gp"),
    "cyclegan": cyclegan,
}
THEIRS = {
    "vae": "pythae 0.1.2, our network",
    "gan": "PyTorch-GAN dcgan.py",
    "wgan-gp": "PyTorch-GAN wgan_gp.py",
    "cyclegan": "PyTorch-GAN cyclegan.py",
}


def measure(case: str, side: str, scripts: Path, seconds: float) -> float:
    """Train one side of one case for a while; return images per second."""
    torch.set_num_threads(usable_cores())
    torch.manual_seed(0)
    watch = Stopwatch(seconds)
    try:
        if side == "ours":
            recipe, config, data = OURS[case](scripts)
            watch.batch = config.batch_size
            train(recipe, config, data, watch)
        else:
            timed(case, scripts, watch)
    except Spent:
        pass
    return watch.images_per_s


def findings(scripts: Path, seconds: float) -> Findings:
    """Measure all cases in turns and return the table."""
    speeds: dict[tuple[str, str], list[float]] = {}
    for _ in range(REPEATS):
        for case in OURS:
            for side in ("ours", "theirs"):
                python = str(PYTHAE) if case == "vae" else sys.executable
                command = [python, "-m", "benchmarks.training_speed", "--peers", str(scripts)]
                command += ["--seconds", str(seconds), "--only", case, side]
                printed = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
                speeds.setdefault((case, side), []).append(float(printed.stdout.split()[-1]))
    rows = []
    for case, peer in THEIRS.items():
        ours, theirs = (median(speeds[case, side]) for side in ("ours", "theirs"))
        verdict = "met" if ours >= TARGET * theirs else "missed"
        rows.append((case, peer, f"{theirs:.3g}", f"{ours:.3g}", f"{ours / theirs:.2f}", verdict))
    table = Table(
        title="The same networks, trained by the peer and by us",
        note=f"Images/s on {usable_cores()} cores, medians of {REPEATS} runs of {seconds:g} s in turns. "
        f"The target was a ratio of {TARGET}.",
        columns=("recipe", "peer", "its images/s", "ours", "ratio", ""),
        rows=tuple(rows),
    )
    return Findings(
        title="Training beside other projects",
        question="How fast does the same network train?",
        parts=(table,),
    )


def main() -> None:
    """Measure everything and print the table; with --only one side of one case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_speed", description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="a clone of PyTorch-GAN")
    parser.add_argument("--seconds", type=float, default=30, help="of training per measurement")
    parser.add_argument("--only", nargs=2, metavar=("CASE", "SIDE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    scripts = options.peers.resolve() / "implementations"
    for needed in (*(scripts / script for script in SCRIPTS.values()), PYTHAE):
        if not needed.is_file():
            parser.error(f"there is no {needed}: see benchmarks/README.md")
    if options.only:
        print(measure(*options.only, scripts, options.seconds))  # noqa: T201 - read by the caller
        return
    found = findings(options.peers, options.seconds)
    save(found, "training_speed")
    print("\n".join(markdown(found)))  # noqa: T201 - this is the command's output


if __name__ == "__main__":
    main()
