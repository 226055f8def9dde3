"""How often the service takes usual images for strange ones, and how often it notices strange ones.

    python tools/calibration.py        prints the table of docs/calibration.md

The shipped fashion-vae, with test images that its reference has not seen (the second half of them). Per kind
of image: the share whose typicality is below 0.05, and in how many of 200 draws of 64 images /compare says
p < 0.05 against the training images. `usual` are false alarms; all others should be noticed.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from sklearn.datasets import load_digits

sys.path.insert(0, str(Path(__file__).parent.parent))

from service import checkpoint
from service.checkpoint.reference import Reference
from service.comparison import comparer, divergences
from service.comparison.permutation_samples import Samples
from training.data.datasets import fashion_mnist
from training.packaging.reference_arrays import HELD_OUT

Pixels = NDArray[np.uint8]
MODEL = Path(__file__).parent.parent / "checkpoints" / "fashion-vae"
SIGNIFICANCE = 0.05
IMAGES = 64
ROUNDS = 200


class Shipped:
    """The encoder and decoder of the highest version, and its reference."""

    def __init__(self) -> None:
        found = checkpoint.read(MODEL / str(checkpoint.versions(MODEL.parent, MODEL.name)[0]))
        if found.reference is None:
            raise SystemExit(f"{found.folder} has no reference")
        self.reference: Reference = found.reference
        self._encode, self._decode = (
            onnxruntime.InferenceSession(found.graphs[key], providers=["CPUExecutionProvider"])
            for key in ("encode", "decode")
        )

    def encode(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the latents of images (N, 28, 28), and how far off each is when it is decoded again."""
        images = pixels[:, None].astype(np.float32) / 255
        latents = self._encode.run(["latents"], {"images": images})[0]
        again = self._decode.run(["images"], {"latents": latents})[0]
        return latents, ((again - images) ** 2).mean(axis=(1, 2, 3))


def unseen() -> Pixels:
    """Return the test images from which the reference has nothing."""
    return fashion_mnist().test.pixels[HELD_OUT:, 0].numpy()


def kinds(pixels: Pixels) -> dict[str, Callable[[], Pixels]]:
    """Return as many images of every kind, made of the usual ones or in their place."""
    rng = np.random.default_rng(0)
    return {
        "usual": lambda: pixels,
        "inverted": lambda: 255 - pixels,
        "shifted by 4 pixels": lambda: np.pad(pixels, ((0, 0), (4, 0), (4, 0)))[:, :28, :28],
        "digits": lambda: digits(len(pixels)),
        "strong noise": lambda: noisy(pixels, rng),
    }


def digits(count: int) -> Pixels:
    """Return handwritten digits of scikit-learn, enlarged from 8 x 8."""
    small = (load_digits().images * (255 / 16)).round().astype(np.uint8)
    large = np.pad(small.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    return large[np.arange(count) % len(large)]


def noisy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Add Gaussian noise of half the range."""
    return (pixels + rng.normal(0, 127.5, pixels.shape)).clip(0, 255).round().astype(np.uint8)


def alarms(model: Shipped, pixels: Pixels, rounds: int) -> tuple[float, float]:
    """Return how often an image is found strange, and how often a set of them is."""
    latents, errors = model.encode(pixels)
    strange = model.reference.typicality(latents, errors) < SIGNIFICANCE
    known = comparer.sample(model.reference)
    rng = np.random.default_rng(1)
    found = [
        divergences.mmd(Samples(latents[rng.choice(len(latents), IMAGES, replace=False)], known)).p_value
        < SIGNIFICANCE
        for _ in range(rounds)
    ]
    return float(strange.mean()), float(np.mean(found))


def table() -> str:
    """Return the table in Markdown."""
    model = Shipped()
    lines = [
        "| images | single ones found strange | sets of 64 found strange |",
        "|---|---|---|",
    ]
    for name, make in kinds(unseen()).items():
        one, together = alarms(model, make(), ROUNDS)
        lines.append(f"| {name} | {one:.1%} | {together:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
