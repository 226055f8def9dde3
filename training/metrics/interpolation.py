"""Ways between two latents.

The service has the same in NumPy, as it has SSIM and grids of images: neither half of the project imports the
other but where checkpoints are written, and a test compares the two.
"""

from __future__ import annotations

import torch
from torch import Tensor


def linear(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return (1 - t) a + t b for latents (N, D) and t (N, 1) in [0, 1]."""
    return torch.lerp(a, b, t)


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return the way along the great circle (Shoemake 1985) for latents (N, D) and t (N, 1) in [0, 1].

    Draws from N(0, I) lie near a sphere; the straight way between two leads through its inside, where no
    draw ever is. The length changes linearly. Latents in the same or opposite direction go straight.
    """
    lengths = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    u, v = (rows / length.clamp_min(1e-12) for rows, length in zip((a, b), lengths, strict=True))
    angle = (u * v).sum(1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    around = (((1 - t) * angle).sin() * u + (t * angle).sin() * v) / sine.clamp_min(1e-12)
    return torch.where(sine > 1e-4, torch.lerp(*lengths, t) * around, torch.lerp(a, b, t))
