"""Where the tests' real images are: the first 512 training and 256 test images of Fashion-MNIST."""

from pathlib import Path

FASHION = Path(__file__).parents[1] / "data" / "fashion-mnist"
