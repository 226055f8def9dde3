"""A small classifier, used to judge what the other networks make."""

from __future__ import annotations

from torch import Tensor, nn


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
        """Return the logits."""
        logits: Tensor = self.layers(images)
        return logits
