"""Whether what comes in still looks like what a model was trained on: a window over live latents.

    routes/encode -> Windows.add -> a file per model and worker -> Windows.newest -> Drift -> routes/drift

Off unless `drift_rows` is set. The files lie where all workers see them, so each answers for the traffic of
all; the first worker keeps the metrics up to date.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.comparison import comparer
from service.comparison.comparer import Comparer
from service.errors import QueueFull
from service.inference.model import Model
from service.observability import metrics
from service.repository.repository import Repository

FEWEST = 20
"""Latents below which nothing is said."""

MOST = 500
"""Of the newest latents are compared; the window may hold more for a later look."""

Rows = NDArray[np.float64]

logger = logging.getLogger(__name__)


class Windows:
    """The newest latents of every model, in a folder that all workers share."""

    def __init__(self, folder: Path, worker: int, rows: int, versions: int) -> None:
        """Keep `rows` latents per model, of so many versions of each name; with 0 none are kept."""
        self._folder = folder
        self._worker = worker
        self.rows = rows
        self._versions = versions
        self._own: dict[str, Rows | None] = {}
        """By what a model's window is called; None where there was no room for it."""
        self._next: dict[str, int] = {}

    @property
    def is_watched(self) -> bool:
        """Say whether the metrics are this worker's to keep up to date."""
        return self.rows > 0 and self._worker == 0

    def add(self, model: Model, latents: NDArray[np.float32]) -> None:
        """Note latents (N, ...) that were just encoded."""
        if not self.rows or model.reference is None:
            return
        key = _key(model)
        if key not in self._own:
            self._begin(key, model.manifest.name, model.reference.latents.shape[1])
        own = self._own[key]
        if own is None:
            return
        newest = latents[-self.rows :].reshape(-1, own.shape[1] - 1)
        places = (self._next[key] + np.arange(len(newest))) % self.rows
        own[places, 1:] = newest
        own[places, 0] = time.monotonic()
        self._next[key] = int((places[-1] + 1) % self.rows)

    def newest(self, model: Model) -> NDArray[np.float32]:
        """Return the newest latents that all workers have noted, newest last, (at most `rows`, D)."""
        size = model.reference.latents.shape[1] if model.reference else 0
        parts = [np.fromfile(path).reshape(-1, 1 + size) for path in self._folder.glob(f"{_key(model)}.*")]
        if not parts:
            return np.empty((0, size), np.float32)
        rows = np.concatenate(parts)
        rows = rows[rows[:, 0] > 0]
        order = rows[:, 0].argsort(kind="stable")[-self.rows :]
        return rows[order, 1:].astype(np.float32)

    def _begin(self, key: str, name: str, size: int) -> None:
        self._forget(name)
        try:
            own = self._open(key, size)
        except OSError as error:
            logger.error("no latents of %s are kept here for its drift: %s", name, error.strerror)
            self._own[key] = None
            return
        self._own[key] = own
        self._next[key] = int(own[:, 0].argmax() + 1)

    def _forget(self, name: str) -> None:
        """Make room for another version of a model: drop what this worker has kept longest."""
        kept = [key for key in self._own if key.partition("@")[0] == name]
        for key in kept[: max(0, len(kept) + 1 - self._versions)]:
            del self._own[key]
            self._next.pop(key, None)
            (self._folder / f"{key}.{self._worker}").unlink(missing_ok=True)

    def _open(self, key: str, size: int) -> Rows:
        path = self._folder / f"{key}.{self._worker}"
        shape = (self.rows, 1 + size)
        if not path.exists():
            self._write_empty(path, shape)
        rows: Rows = np.memmap(path, np.float64, "r+", shape=shape)
        return rows

    @staticmethod
    def _write_empty(path: Path, shape: tuple[int, int]) -> None:
        # It is written and not only made as long: without room that fails here, while to fill what is mapped
        # and was never written would kill the process (SIGBUS). Others see all of it or nothing.
        building = path.with_name(f".{path.name}")
        try:
            building.write_bytes(np.zeros(shape).tobytes())
            building.rename(path)
        except OSError:
            building.unlink(missing_ok=True)
            raise


def _key(model: Model) -> str:
    """Return what a model's window is called; another encoder in the place of a version has its own."""
    manifest, encoder = model.manifest, model.manifest.operations.encode
    digest = manifest.files[encoder.graph].sha256[:16] if encoder else ""
    return f"{manifest.name}@{manifest.version}@{digest}"


class Drift:
    """Compares windows with what their models were trained on."""

    def __init__(self, windows: Windows, comparer: Comparer) -> None:
        self._windows = windows
        self._comparer = comparer

    async def measure(self, model: Model) -> dict[str, float | int | None]:
        """Return what the docs say of /models/{name}/drift.

        Raises:
            QueueFull: other comparisons wait already.
        """
        latents = self._windows.newest(model)
        found: dict[str, float | int | None] = {"images": len(latents), "window": self._windows.rows}
        if model.reference is None or len(latents) < FEWEST:
            return found | dict.fromkeys(comparer.NUMBERS)
        return found | await self._comparer.run(latents[-MOST:], comparer.sample(model.reference))

    async def keep_watching(self, repository: Repository, every_s: float) -> None:
        """Measure what answers to each name from time to time, for the metrics; one worker does."""
        while self._windows.is_watched:
            await asyncio.sleep(every_s)
            for model in repository.now().models():
                try:
                    found = await self.measure(model)
                    mmd, mmd_p = found["mmd"], found["mmd_p"]
                    if mmd is not None and mmd_p is not None:
                        metrics.note_drift(model.manifest.name, mmd, mmd_p, int(found["images"] or 0))
                except QueueFull:
                    logger.info("drift of %s is left for later", model.manifest.name)
                except Exception:  # one model's trouble must not end the watch over all
                    logger.exception("drift of %s cannot be measured", model.manifest.name)
