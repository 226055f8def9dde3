"""Small classifiers, used to judge what the other networks make."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Classifier(nn.Module):
    """Convolutions with batch norm: images (N, channels, size, size) in [0, 1] -> logits (N, classes)."""

    def __init__(self, channels: int, classes: int, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = channels
        for wide, repeats in ((width, 1), (2 * width, 1), (4 * width, 2)):
            for _ in range(repeats):
                layers += [nn.Conv2d(last, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
                last = wide
            layers += [nn.MaxPool2d(2)]
        self.layers = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Dropout(0.2), nn.Linear(9 * last, classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


class ResidualClassifier(nn.Module):
    """Pre-activation residual blocks (He et al. 2016): images (N, channels, size, size) in [0, 1] -> logits.

    The input of its last layer serves as a feature space.
    """

    def __init__(self, channels: int, classes: int, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(
            ResidualBlock(width, 2 * width),
            ResidualBlock(2 * width, 2 * width),
            ResidualBlock(2 * width, 4 * width),
            ResidualBlock(4 * width, 4 * width),
        )
        self.norm = nn.BatchNorm2d(4 * width)
        self.head = nn.Linear(4 * width, classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the means over the image of what the last layer sees, (N, 4 * width)."""
        return F.relu(self.norm(self.blocks(self.stem(images)))).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes)."""
        logits: Tensor = self.head(self.features(images))
        return logits


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after a norm and a ReLU, beside a shortcut.

    With more outputs than inputs it halves the image, and the shortcut is a 1x1 convolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = None if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W), or half the height and width where it halves them."""
        h = F.relu(self.norm1(x))
        residual: Tensor = self.conv2(F.relu(self.norm2(self.conv1(h))))
        return residual + (x if self.shortcut is None else self.shortcut(h))
