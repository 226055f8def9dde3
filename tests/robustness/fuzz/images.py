"""Atheris on the image decoder: python tests/robustness/fuzz/images.py -runs=100000 folder

Whatever the bytes are, they are an image of the model's shape or an ImageError.
"""

import sys

import atheris
import numpy as np

with atheris.instrument_imports(include=["service"]):
    from service.checkpoint.manifest import ImageSpec
    from service.media import images, png
    from service.media.image_errors import ImageError

SPECS = (
    ImageSpec(channels=1, height=28, width=28),
    ImageSpec(channels=3, height=None, width=None, stride=4, range=(-1.0, 1.0)),
)
MAX_PIXELS = 1 << 18


def decode(raw: bytes) -> None:
    """Try one file."""
    images.is_large(raw)
    png.read(raw, MAX_PIXELS)
    for spec in SPECS:
        try:
            pixels = images.decode(raw, spec, MAX_PIXELS)
        except ImageError:
            continue
        assert pixels.shape[0] == spec.channels
        assert pixels.dtype == np.float32
        assert np.isfinite(pixels).all()


atheris.Setup(sys.argv, decode)
atheris.Fuzz()
