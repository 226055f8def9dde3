"""What a peer is asked for, how long it may train, and what comes out of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

PEERS = Path("runs/peers")
BATCH = 100
"""Images per update of every peer."""
CHUNK = 500
"""Images generated at once."""

NETWORKS = ("benchmark", "perceptrons", "ours")
"""pythae's for its MNIST benchmark, those it takes where none is given, and the one of our VAE."""


@dataclass(frozen=True)
class Settings:
    """What was asked for."""

    kind: str
    peer: str
    name: str
    """Of the folder it is written to."""
    seconds: float
    """Of processor time of this process, on one thread, from the first update to the last."""
    learning_rate: float
    latent_dim: int
    width: int
    network: str
    loss: str
    seed: int
    samples: int
    """Images generated per sample seed."""
    sample_seeds: int


class Budget:
    """Counts updates, and ends the training once its processor time is spent."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._started = seconds, time.process_time()
        self.updates = 0

    @property
    def used_s(self) -> float:
        """Return the processor seconds used so far."""
        return time.process_time() - self._started

    def spend(self) -> None:
        """Count an update.

        Raises:
            Spent: it was the last.
        """
        self.updates += 1
        if self.used_s >= self._seconds:
            raise Spent


class Spent(Exception):
    """The processor time is used up."""


@dataclass(frozen=True)
class Trained:
    """A trained VAE as the judge sees it: images in [0, 1] to latents and back."""

    network: nn.Module
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    priors: dict[str, Callable[[int, int], Tensor]]
    """Samplers: (count, seed) -> images."""
    description: str
    budget: Budget
    used_s: float
