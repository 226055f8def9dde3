"""Tiny checkpoints with the names, shapes, classes, domains and defaults of the shipped ones."""

from pathlib import Path

from service import checkpoint
from support.tiny_checkpoints import describe_tiny, write_tiny

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def write_fashion(root: Path) -> None:
    """Write them, and noisy-clean, which translates one way only."""
    write_tiny(
        root,
        "fashion-vae",
        size=28,
        latent=(16,),
        logvar=True,
        default_for=("encode", "decode"),
        reference=CLASSES,
    )
    write_tiny(
        root,
        "fashion-cgan",
        size=28,
        latent=(64,),
        operations=("generate",),
        classes=CLASSES,
        default_for=("generate",),
    )
    write_tiny(root, "edges-photos", size=28, operations=(), domains=("edges", "photos"))
    domains = ("bags", "boots")
    write_tiny(root, "bags-boots", size=28, operations=(), domains=domains, default_for=("translate",))
    description, files = describe_tiny("noisy-clean", size=28, operations=(), domains=("noisy", "clean"))
    del description["operations"]["translate"]["noisy"]
    checkpoint.write(root, description, files)
