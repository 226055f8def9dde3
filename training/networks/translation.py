"""Networks that judge or carry images between domains.

CycleGAN's residual generator and patch discriminator (Zhu et al. 2017, after Johnson et al. 2016), at
widths for small images; DiscoGAN's whole-image discriminator (Kim et al. 2017) with its features.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.networks.convolution import halvings, widths


class Residual(nn.Module):
    """x + two 3x3 convolutions of x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, C, H, W)."""
        rows: Tensor = features + self.layers(features)
        return rows


class ResidualGenerator(nn.Module):
    """Images (N, channels, size, size) in [-1, 1] to images of another domain, same shape and range.

    There is no path around the bottleneck: with one, the identity is learned before anything else.
    """

    def __init__(self, channels: int, size: int, width: int, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 3, padding=1),
            nn.InstanceNorm2d(width, affine=True),
            nn.ReLU(),
        ]
        for wide in (width, 2 * width):
            layers += [
                nn.Conv2d(wide, 2 * wide, 4, stride=2, padding=1, bias=False),
                nn.InstanceNorm2d(2 * wide, affine=True),
                nn.ReLU(),
            ]
        layers += [Residual(4 * width) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            layers += [
                nn.Conv2d(wide, 2 * wide, 3, padding=1, bias=False),
                nn.PixelShuffle(2),
                nn.InstanceNorm2d(wide // 2, affine=True),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())
        self.pad = nn.ReplicationPad2d((0, -size % 4, 0, -size % 4))
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        translated: Tensor = self.layers(self.pad(images))
        return translated[..., : self.size, : self.size]


class PatchDiscriminator(nn.Module):
    """One realness score per overlapping patch: images -> (N, 1, h, w)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.InstanceNorm2d(2 * width, affine=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 3, padding=1, bias=False),
            nn.InstanceNorm2d(4 * width, affine=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layers(images)
        return scores


class FeatureDiscriminator(nn.Module):
    """One realness logit per whole image, with the activations on the way for feature matching."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        last, side = channels, size
        for index, wide in enumerate(widths(halvings(size) + 1, width)):
            norm: nn.Module = nn.BatchNorm2d(wide) if index else nn.Identity()
            stages.append(
                nn.Sequential(nn.Conv2d(last, wide, 4, stride=2, padding=1), norm, nn.LeakyReLU(0.2))
            )
            last, side = wide, side // 2
        self.stages = nn.ModuleList(stages)
        self.realness = nn.Linear(last * side * side, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits (N,) and the feature maps after every stage but the first."""
        features = []
        for stage in self.stages:
            images = stage(images)
            features.append(images)
        return self.realness(images.flatten(1))[:, 0], features[1:]
