"""What a tiny checkpoint has to answer, computed beside the service."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.checkpoint.manifest import ImageSpec
from service.media import images
from support.tiny_checkpoints import run_onnx


def decoded(
    description: Mapping[str, Any], files: Mapping[str, bytes], latents: Sequence[Sequence[float]]
) -> list[str]:
    """Return the base64 PNG of each latent, each run alone."""
    spec = ImageSpec.model_validate(description["image"])
    drawn = []
    for latent in latents:
        outputs = run_onnx(files["decode.onnx"], {"latents": np.array([latent], np.float32)})
        (pixels,) = images.to_pixels(outputs["images"], spec)
        drawn.append(base64.b64encode(images.encode(pixels, "png")).decode())
    return drawn
