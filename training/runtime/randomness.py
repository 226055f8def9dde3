"""Where training's random numbers come from.

Every draw is a pure function of (seed, purpose, update): nothing has to be saved to resume a run bit for
bit, and drawing more for one purpose never shifts another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.runtime import distributed

Draw = Callable[[int, torch.Generator], Tensor]


def generator(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """Return a CPU generator that depends on its three arguments alone."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@dataclass(frozen=True)
class Randomness:
    """The random numbers of one update."""

    seed: int
    update: int
    device: torch.device

    def rows(self, purpose: str, count: int, draw: Draw) -> Tensor:
        """Return what `draw` makes for the whole batch, of which this process has `count` rows: these rows.

        Args:
            purpose: distinguishes this draw from the others of the update.
            count: this process's rows.
            draw: takes the rows of the whole batch and a CPU generator, and returns as many rows.
        """
        whole = draw(count * distributed.count(), generator(self.seed, purpose, self.update))
        return distributed.shard(whole).to(self.device)

    def uniform(self, purpose: str, rows: int, *shape: int) -> Tensor:
        """Return numbers uniform on [0, 1), (rows, *shape) float32."""
        return self.rows(purpose, rows, lambda count, random: torch.rand(count, *shape, generator=random))

    def normal(self, purpose: str, rows: int, *shape: int) -> Tensor:
        """Return standard normal numbers, (rows, *shape) float32."""
        return self.rows(purpose, rows, lambda count, random: torch.randn(count, *shape, generator=random))

    def permutation(self, purpose: str, count: int) -> Tensor:
        """Return 0..count-1 in random order, int64; the same in all processes."""
        drawn = torch.randperm(count, generator=generator(self.seed, purpose, self.update))
        return drawn.to(self.device)


@dataclass
class Shuffle:
    """An endless stream of indices: one permutation of 0..count-1 after another."""

    count: int
    seed: int
    purpose: str
    _permutations: dict[int, Tensor] = field(default_factory=dict)

    def take(self, start: int, length: int) -> Tensor:
        """Return the indices at positions start..start+length-1 of the stream, (length,) int64."""
        pieces = []
        while length:
            epoch, offset = divmod(start, self.count)
            piece = self._permutation(epoch)[offset : offset + length]
            pieces.append(piece)
            start, length = start + len(piece), length - len(piece)
        return torch.cat(pieces)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._permutations:
            self._permutations = {
                epoch: torch.randperm(self.count, generator=generator(self.seed, self.purpose, epoch))
            }
        return self._permutations[epoch]
