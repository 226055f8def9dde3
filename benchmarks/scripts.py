"""PyTorch-GAN's training scripts, run as they are for a while or up to the point where they have networks.

training_speed -> timed, networks_of -> a script's variables
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from PIL import Image
from torch.utils import data
from torchvision import datasets

from benchmarks.budget import Settings, Spent
from benchmarks.stand_in import StandIn
from training.data.datasets import Dataset, fashion_mnist

CYCLEGAN_SIDE = 32
CYCLEGAN_BATCH = 8
CYCLEGAN_IMAGES = 500
"""Per domain, as files, of which the script reads one after another."""
SCRIPTS = {"gan": "dcgan/dcgan.py", "wgan-gp": "wgan_gp/wgan_gp.py", "cyclegan": "cyclegan/cyclegan.py"}
ARGUMENTS = {
    "cyclegan.py": (
        *("--dataset_name", "here", "--img_height", str(CYCLEGAN_SIDE), "--img_width", str(CYCLEGAN_SIDE)),
        *("--batch_size", str(CYCLEGAN_BATCH), "--n_cpu", "0", "--sample_interval", "1000000"),
    )
}


class Stopwatch:
    """Counts batches, from the end of a warm-up on, and ends the training once its time is over."""

    WARM_UP = 5

    def __init__(self, seconds: float) -> None:
        self.batch = 0
        """Images in a batch."""
        self._seconds = seconds
        self._batches = -self.WARM_UP
        self._started = 0.0
        self._ended = 0.0

    def tick(self) -> None:
        """Count a batch.

        Raises:
            Spent: the time is over.
        """
        self._ended = time.perf_counter()
        if not self._batches:
            self._started = self._ended
        self._batches += 1
        if self._batches > 0 and self._ended - self._started >= self._seconds:
            raise Spent

    @property
    def images_per_s(self) -> float:
        """Return images per second since the warm-up."""
        return (self._batches - 1) * self.batch / (self._ended - self._started)


def networks_of(script: Path) -> dict[str, Any]:
    """Return the variables of a script just before it reads its first batch."""
    watch = Stopwatch(0)
    watch.WARM_UP = 0  # type: ignore[misc]
    watch._batches = 0
    return run(script, watch)


def timed(case: str, scripts: Path, watch: Stopwatch) -> None:
    """Let a peer train until the time is over."""
    if case == "vae":
        _pythae(watch)
    else:
        run(scripts / SCRIPTS[case], watch)


def run(script: Path, watch: Stopwatch) -> dict[str, Any]:
    """Execute a script until its time is over; return its variables."""
    dataset = fashion_mnist()

    class Loader(data.DataLoader[Any]):
        def __iter__(self) -> Iterator[Any]:  # type: ignore[override] - a generator will do
            watch.batch = self.batch_size or 1
            for batch in super().__iter__():
                watch.tick()
                yield batch

    def stand_in(*_: object, transform: Any, **__: object) -> StandIn:
        return StandIn(dataset, transform)

    variables: dict[str, Any] = {"__name__": "__main__"}
    here = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(datasets, "MNIST", stand_in),
        mock.patch.object(data, "DataLoader", Loader),
        mock.patch.object(sys, "argv", [str(script), *ARGUMENTS.get(script.name, ())]),
        mock.patch.object(sys, "path", [str(script.parent), *sys.path]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.suppress(Spent),
    ):
        inside = Path(folder, "a", "b")
        inside.mkdir(parents=True)
        _write_domains(Path(folder, "data", "here"), dataset)
        os.chdir(inside)
        try:
            exec(compile(script.read_text(), script, "exec"), variables)  # noqa: S102 - a script one chose
        finally:
            os.chdir(here)
    return variables


def _write_domains(folder: Path, dataset: Dataset) -> None:
    """Write bags and ankle boots as files, as cyclegan.py wants its data."""
    for mode in ("train", "test"):
        for domain, label in (("A", 8), ("B", 9)):
            target = folder / mode / domain
            target.mkdir(parents=True)
            members = dataset.train.pixels[dataset.train.labels == label][:CYCLEGAN_IMAGES]
            for number, pixels in enumerate(members):
                Image.fromarray(pixels[0].numpy()).save(target / f"{number}.png")


def _pythae(watch: Stopwatch) -> None:
    """Let pythae train our VAE's network."""
    from benchmarks import pythae  # noqa: PLC0415 - only where it is installed
    from benchmarks.budget import BATCH  # noqa: PLC0415

    watch.batch = BATCH

    class Limit:
        updates, used_s = 0, 0.0

        def __init__(self, *_: object) -> None:
            pass

        def spend(self) -> None:
            watch.tick()

    settings = Settings(
        kind="images",
        peer="pythae",
        name="speed",
        seconds=0,
        learning_rate=1e-3,
        latent_dim=16,
        width=32,
        network="ours",
        loss="mse",
        seed=0,
        samples=0,
        sample_seeds=0,
    )
    with mock.patch.object(pythae, "Budget", Limit):
        pythae.images(settings, fashion_mnist())
