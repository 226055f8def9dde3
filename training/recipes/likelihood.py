"""The likelihood a VAE of binarised images gives to images it was never trained on, in nats.

log p(x) is bounded from below by the importance-weighted bound (Burda et al. 2016), closer the larger k is:

    E log 1/k sum_i  p(x|z_i) p(z_i) / q(z_i|x),   z_i drawn from q(z|x)

With k = 1 it is the evidence lower bound. The prior is N(0, I), the decoder's pixels are Bernoulli.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from pydantic import JsonValue
from torch import Tensor
from torch.nn import functional as F

from training.data.datasets import Dataset, to_range
from training.runtime.randomness import generator

SAMPLES = 500
"""k of the bound."""
IMAGES = 1000
SHARE = 0.1
"""Of the test images are judged at most: small sets stay cheap."""
ROWS = 100
"""Latents decoded at once: what the decoder makes of them should stay in the cache."""
EDGE = 1e-7
"""Probabilities keep this far from 0 and 1, as float32 does beside 1."""

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Images (N, C, H, W) -> mean and log variance of q(z|x), (N, D) each."""
Decode = Callable[[Tensor], Tensor]
"""Latents (N, D) -> probability of white for every pixel, (N, C, H, W)."""


def binarised(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Return uint8 images as 0 and 1, each pixel white with its grey level as the probability, float32."""
    grey = to_range(pixels, (0.0, 1.0))
    return (torch.rand(grey.shape, generator=random) < grey).float()


@torch.no_grad()
def iwae_bound(encode: Encode, decode: Decode, images: Tensor, k: int, random: torch.Generator) -> Tensor:
    """Return the bound on log p(x) for each of the binary images, (N,) nats, float64."""
    at_once = min(k, ROWS)
    per_chunk = max(1, ROWS // at_once)
    bounds = []
    for chunk in images.split(per_chunk):
        mu, logvar = (part.float() for part in encode(chunk))
        parts = [
            _log_weights(decode, chunk, mu, logvar, count, random)
            for count in [at_once] * (k // at_once) + [k % at_once] * bool(k % at_once)
        ]
        bounds.append(torch.cat(parts, dim=1).logsumexp(1) - math.log(k))
    return torch.cat(bounds)


def _log_weights(
    decode: Decode, x: Tensor, mu: Tensor, logvar: Tensor, count: int, random: torch.Generator
) -> Tensor:
    """Return log p(x|z) p(z) / q(z|x) for `count` draws z of each image, (N, count) float64."""
    noise = torch.randn((len(x), count, mu.shape[1]), generator=random)
    z = mu[:, None] + (0.5 * logvar).exp()[:, None] * noise
    # log N(z; 0, I) - log N(z; mu, sigma²): the constants cancel.
    log_ratio = 0.5 * (noise.square() - z.square() + logvar[:, None]).double().sum(2)
    white = decode(z.flatten(0, 1)).clamp(EDGE, 1 - EDGE).unflatten(0, (len(x), count)).flatten(2)
    target = x.flatten(1)[:, None].expand_as(white)
    log_likelihood = -F.binary_cross_entropy(white, target, reduction="none").sum(2, dtype=torch.float64)
    return log_likelihood + log_ratio


def likelihood(encode: Encode, decode: Decode, dataset: Dataset) -> dict[str, JsonValue]:
    """Return the bound over the first test images, binarised once with a fixed seed.

    `bound_over_images_nats` is its mean and `..._error` the standard error of this mean over images.
    """
    count = min(IMAGES, math.ceil(SHARE * len(dataset.test)))
    images = binarised(dataset.test.pixels[:count], generator(0, "binarised test images"))
    tight = iwae_bound(encode, decode, images, SAMPLES, generator(0, "importance samples"))
    loose = iwae_bound(encode, decode, images, 1, generator(0, "one sample"))
    return {
        "likelihood_images": count,
        f"iwae_{SAMPLES}_nats": tight.mean().item(),
        f"iwae_{SAMPLES}_standard_error": (tight.std() / math.sqrt(count)).item(),
        "elbo_nats": loose.mean().item(),
    }
