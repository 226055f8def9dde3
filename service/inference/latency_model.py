"""How long a run of a graph takes, learned from the runs that were made.

batcher -> LatencyModel -> batcher, which then knows whether to run on the event loop or in a thread
"""

from __future__ import annotations


class LatencyModel:
    """Seconds a run of n rows takes: a + b*n, fitted to the recent runs with fading weights."""

    _WEIGHT = 0.05

    def __init__(self, one_row_s: float, rows: int, rows_s: float) -> None:
        """Start from the measured times of 1 row and of `rows` rows."""
        half = (rows - 1) / 2
        self._rows, self._seconds = (1 + rows) / 2, (one_row_s + rows_s) / 2
        self._variance, self._covariance = half**2, half * (rows_s - one_row_s) / 2
        self._slope = self._covariance / self._variance if half else 0.0

    def seconds(self, rows: float) -> float:
        """Return how long a run of `rows` rows is expected to take."""
        return max(0.0, self._seconds + self._slope * (rows - self._rows))

    def rows(self, seconds: float) -> int:
        """Return how many rows a run of `seconds` is expected to have room for."""
        return int(self._rows + (seconds - self._seconds) / max(self._slope, 1e-9))

    def add(self, rows: float, seconds: float) -> None:
        """Learn from one run. A single stall of the machine counts as four times the expected at most."""
        seconds = min(seconds, 4 * self.seconds(rows) + 1e-5)
        more_rows, more_seconds = rows - self._rows, seconds - self._seconds
        self._rows += self._WEIGHT * more_rows
        self._seconds += self._WEIGHT * more_seconds
        self._variance = (1 - self._WEIGHT) * (self._variance + self._WEIGHT * more_rows**2)
        self._covariance = (1 - self._WEIGHT) * (self._covariance + self._WEIGHT * more_rows * more_seconds)
        if self._variance > 1e-6:  # else all recent runs were of one size and say nothing about the slope
            self._slope = max(0.0, self._covariance / self._variance)
