"""Two samples, and what does not depend on which rows are in which: for tests by permutation.

    a, b -> Samples -> divergences.mmd, kl, js, wasserstein

Distances between rows, and their order, are computed once for all statistics of a comparison.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Membership = NDArray[np.uint8]

PERMUTATION_STREAM, ORDER_STREAM = 4, 6
"""Of raw Philox, as in sampling.py, which has the streams before."""


class Samples:
    """Rows (n, D) and (m, D) pooled to (N, D), with random ways to split them anew."""

    rows: Floats
    membership: Membership
    """(N, 1 + permutations): 1 where a row belongs to the first sample; the first column is as observed."""

    def __init__(self, a: ArrayLike, b: ArrayLike, permutations: int = 1000, seed: int = 0) -> None:
        """Pool two samples.

        Raises:
            ValueError: a sample has fewer than two rows, or rows are not of one length.
        """
        first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
        if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
            raise ValueError(
                f"two samples of rows of one length, not shapes {first.shape} and {second.shape}"
            )
        if min(len(first), len(second)) < 2:
            raise ValueError(f"each sample needs two rows or more, not {len(first)} and {len(second)}")
        self.seed = seed
        self.sizes = len(first), len(second)
        rows = np.concatenate([first, second])
        # |x|² + |y|² - 2xy loses digits far from the origin, so the rows move there; nothing else changes.
        rows -= rows.mean(axis=0)
        words = np.random.Philox(key=[seed, ORDER_STREAM]).random_raw(len(rows))
        # The order of the rows tells equal distances apart, so it must know nothing of the sides.
        order = np.argsort(words)
        self.rows = rows[order]
        self.membership = _memberships(order < len(first), permutations, seed)

    @cached_property
    def squares(self) -> Floats:
        """|x - y|² of all pairs of rows, (N, N)."""
        norms = (self.rows * self.rows).sum(axis=1)
        squares: Floats = np.maximum(norms[:, None] + norms[None, :] - 2 * self.rows @ self.rows.T, 0)
        np.fill_diagonal(squares, 0)
        return squares

    @cached_property
    def median_square(self) -> float:
        """The median of the squared distances of pairs, or 1 where most rows are equal."""
        return float(np.median(self.squares[np.triu_indices(len(self.squares), 1)])) or 1.0

    @cached_property
    def neighbours(self) -> NDArray[np.int64]:
        """The indices of all other rows from the nearest to the farthest, (N, N - 1)."""
        away = self.squares.copy()
        np.fill_diagonal(away, -1)
        return away.argsort(axis=1)[:, 1:]


def _memberships(observed: NDArray[np.bool_], permutations: int, seed: int) -> Membership:
    """Return the observed sides and, per permutation, as many ones in random places (ranks of raw Philox)."""
    n, total = np.count_nonzero(observed), len(observed)
    words = np.random.Philox(key=[seed, PERMUTATION_STREAM]).random_raw(permutations * total)
    words = words.reshape(permutations, total)
    chosen = words <= np.partition(words, n - 1, axis=1)[:, n - 1 : n]
    return np.ascontiguousarray(np.concatenate([observed[None], chosen]).T).astype(np.uint8)
