"""The [0, 1] scale, on which images are compared whatever a model's own range is.

Model.run -> here -> similarity
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.checkpoint.manifest import ImageSpec


def scale(images: NDArray[np.float32], spec: ImageSpec) -> NDArray[np.float32]:
    """Return images on the scale [0, 1]; what lies outside the model's range is clipped, as in a picture."""
    low, high = spec.range
    scaled: NDArray[np.float32] = ((images - np.float32(low)) / np.float32(high - low)).clip(0, 1)
    return scaled
