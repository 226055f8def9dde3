"""Seeds to noise: an image depends on its own seed, never on its batch or on a library's random stream.

For seed s and stream t, the words w_0, w_1, ... are the raw 64-bit output of Philox-4x64-10 (Salmon et al.
2011) with key (s, t) and counter 0, as `numpy.random.Philox(key=[s, t]).random_raw` gives them. Then

    u_i = min((floor(w_i / 2^11) + 0.5) / 2^53, 1 - 2^-53)      uniform, never 0 or 1
    r = sqrt(-2 ln u_2i),  a = 2 pi u_2i+1                      Box & Muller 1958
    n_2i = r cos a,  n_2i+1 = r sin a                           standard normal, float64 rounded to float32

A latent of N(0, I) is n. A latent of a mixture is  mean_k + L_k n,  k the first component whose cumulated
weight exceeds a uniform number from a stream of its own. The others come from u by their quantile functions:

    uniform             sqrt(3) (2u - 1)                        variance 1
    laplace             -sign(u - 1/2) ln(1 - |2u - 1|) / sqrt(2)          variance 1
    truncated-normal    Phi^-1(p + (1 - 2p) u),  p = Phi(-2)    N(0, 1) where it is within 2 of 0
    cauchy              tan(pi (u - 1/2))                       quartiles at -1 and 1; no mean, no variance
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from service.checkpoint.manifest import LatentSpec
from service.checkpoint.priors import MixturePrior

MAX_SEED = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""
LATENT_STREAM = 0
LABEL_STREAM = 1
POSTERIOR_STREAM = 2
COMPONENT_STREAM = 3

_TAIL = NormalDist().cdf(-2)
_normal_quantile = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])

QUANTILES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "uniform": lambda u: np.sqrt(3) * (2 * u - 1),
    "laplace": lambda u: -np.sign(u - 0.5) * np.log(1 - np.abs(2 * u - 1)) / np.sqrt(2),
    "truncated-normal": lambda u: _normal_quantile(_TAIL + (1 - 2 * _TAIL) * u),
    "cauchy": lambda u: np.tan(np.pi * (u - 0.5)),
}
"""By the kind of a prior: numbers uniform on (0, 1) -> its independent coordinates."""


@dataclass(frozen=True)
class Draw:
    """Latents that are still to be drawn, (N, *latent.shape): one per seed.

    They are the queue's `DeferredRows`: drawing many requests' at once takes a fraction of the time.
    """

    seeds: Sequence[int]
    latent: LatentSpec
    truncation: float

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, rows: slice) -> Draw:
        return Draw(self.seeds[rows], self.latent, self.truncation)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the array it stands for."""
        return len(self), *self.latent.fixed_shape

    @classmethod
    def materialize(cls, parts: Sequence[Self]) -> NDArray[np.float32]:
        """Draw the latents of one model's `parts`, one array in their order."""
        seeds = [seed for part in parts for seed in part.seeds]
        truncation = np.repeat([part.truncation for part in parts], [len(part) for part in parts])
        return noise(seeds, parts[0].latent, truncation)


def noise(
    seeds: Sequence[int], latent: LatentSpec, truncation: float | NDArray[np.float64]
) -> NDArray[np.float32]:
    """Draw one latent per seed from the prior, (N, *latent.shape).

    `truncation`, one for all or (N,), scales the distance from the centre of the prior, the mean of the
    mixture's component or else 0: centre + t * (z - centre).
    """
    quantile = QUANTILES.get(latent.prior.kind)
    if quantile is None:
        z = normal(seeds, LATENT_STREAM, latent.size)
    else:
        z = quantile(_uniform(seeds, LATENT_STREAM, latent.size)).astype(np.float32)
    z *= np.asarray(truncation, np.float32).reshape(-1, 1)
    if isinstance(latent.prior, MixturePrior):
        z = _mixed(seeds, z, latent.prior)
    return z.reshape(len(seeds), *latent.fixed_shape)


def labels(seeds: Sequence[int], classes: int) -> NDArray[np.int64]:
    """Draw one class index per seed, uniform over `classes`, (N,)."""
    u = _uniform(seeds, LABEL_STREAM, 1)[:, 0]
    drawn: NDArray[np.int64] = np.minimum((u * classes).astype(np.int64), classes - 1)
    return drawn


def posterior(
    seeds: Sequence[int], mean: NDArray[np.float32], logvar: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Draw one latent per seed from N(mean, exp(logvar)); both are (N, *shape), and so is the draw.

    Where exp(logvar / 2) is beyond float32, numbers of the draw are not finite.
    """
    z = normal(seeds, POSTERIOR_STREAM, mean[0].size).reshape(mean.shape)
    with np.errstate(over="ignore", invalid="ignore"):  # the caller checks; a warning would go to stderr
        drawn: NDArray[np.float32] = mean + np.exp(np.float32(0.5) * logvar) * z
    return drawn


def normal(seeds: Sequence[int], stream: int, count: int) -> NDArray[np.float32]:
    """Draw `count` standard normal numbers per seed, (N, count)."""
    u = _uniform(seeds, stream, count + count % 2)
    radius, angle = np.sqrt(-2 * np.log(u[:, 0::2])), 2 * np.pi * u[:, 1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2)
    return pairs.reshape(len(seeds), -1)[:, :count].astype(np.float32)


def _mixed(seeds: Sequence[int], noise: NDArray[np.float32], prior: MixturePrior) -> NDArray[np.float32]:
    """Turn standard normal rows (N, D) into rows of the mixture; each row by itself, whatever the batch."""
    edges, means, factors = prior.arrays
    component = np.searchsorted(edges, _uniform(seeds, COMPONENT_STREAM, 1)[:, 0], side="right")
    component = np.minimum(component, len(means) - 1)
    rows: NDArray[np.float32] = means[component] + (factors[component] * noise[:, None, :]).sum(axis=2)
    return rows


def _uniform(seeds: Sequence[int], stream: int, count: int) -> NDArray[np.float64]:
    words = _words(seeds, stream, count)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return np.minimum(uniform, 1 - 2.0**-53)


def _words(seeds: Sequence[int], stream: int, count: int) -> NDArray[np.uint64]:
    """Return the first `count` words of raw Philox with the keys (seed, stream), (N, count).

    One generator is set to one key after another: making a generator takes several times as long.
    """
    philox = np.random.Philox(key=[0, stream])
    state = philox.state
    words = np.empty((len(seeds), count), np.uint64)
    for row, seed in enumerate(seeds):
        state["state"]["key"][0] = seed
        philox.state = state
        words[row] = philox.random_raw(count)
    return words
