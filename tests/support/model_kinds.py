"""One small model of each kind, as the tests of the HTTP parts use them."""

from pathlib import Path

from service import checkpoint
from support.tiny_checkpoints import describe_tiny, write_tiny

CLASSES = ("T-shirt/top", "Bag", "Ankle boot")


def write_model_of_each_kind(root: Path) -> Path:
    """Write vae, which encodes and decodes, cgan, which draws classes, and others, which lack something."""
    write_tiny(root, "vae", logvar=True, default_for=("encode", "decode"), reference=CLASSES)
    write_tiny(root, "cgan", operations=("generate",), classes=CLASSES, default_for=("generate",))
    write_tiny(root, "cgan-any", operations=("generate",), classes=CLASSES, null_label="any")
    write_tiny(root, "colour", operations=("encode", "decode"), channels=3, size=16, latent=(2, 3))
    write_tiny(root, "bags-boots", operations=(), domains=("bags", "boots"), default_for=("translate",))
    write_tiny(root, "any-size", operations=("encode",), size=None, stride=4)
    description, files = describe_tiny("noisy-clean", operations=(), domains=("noisy", "clean"))
    del description["operations"]["translate"]["noisy"]
    checkpoint.write(root, description, files)
    return root
