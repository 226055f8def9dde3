"""The loop: batches in, averaged weights and saved state out.

Nothing random is kept between updates (see randomness.py), so a resumed run repeats the unbroken one bit
for bit on a CPU with the same number of threads. Where several processes train together (distributed.py), all
of them run this loop; the first alone reads and writes the run's folder, and what it has read it hands on.

The loop is our own, not Lightning's or Accelerate's: a resumed run must repeat every bit, adversarial recipes
step several optimisers in one update, and a reader should see what happens in which order.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from training.config import Config
from training.data.batches import BatchSource
from training.networks.moving_average import follow
from training.recipes.base import Losses, Recipe
from training.runtime import distributed
from training.runtime.progress import Progress
from training.runtime.randomness import Randomness
from training.runtime.run_folder import Run, RunError, RunProgress, State

SAVE_EVERY_S = 60.0


class Interrupted(Exception):
    """Ctrl-C or SIGTERM: the state is saved."""


class Trainer:
    """Trains one recipe and keeps its run folder up to date."""

    def __init__(
        self,
        recipe: Recipe,
        config: Config,
        batches: BatchSource,
        run: Run,
        sheet: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self.recipe, self.config, self.batches, self.run = recipe, config, batches, run
        self.total = config.total_updates(batches.images)
        self.update = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self._sheet = sheet
        self._progress = progress
        self._base_rates = {
            name: optimizer.param_groups[0]["lr"] for name, optimizer in recipe.optimizers.items()
        }
        self._sums: dict[str, float] = {}

    @property
    def epoch(self) -> int:
        """Return how many passes over the data are complete."""
        return self.update * self.config.batch_size // self.batches.images

    def resume(self) -> None:
        """Take up the saved state, if there is one.

        Raises:
            RunError: it is damaged or belongs to other networks.
        """
        state = distributed.broadcast_from_first(lambda: self.run.load(torch.device("cpu")))
        if state is not None:
            self.take_up(state)

    def take_up(self, state: State) -> None:
        """Go on from a state of the run.

        Raises:
            RunError: it belongs to other networks.
        """
        try:
            for kind in ("networks", "averaged", "optimizers"):
                for name, part in getattr(self.recipe, kind).items():
                    part.load_state_dict(state[kind][name])
            self.recipe.recall(state["memory"])
        except (KeyError, RuntimeError, ValueError):
            raise RunError(
                f"the state in {self.run.folder} belongs to other networks: start the run anew"
            ) from None
        self.update, self.seconds = state["update"], state["seconds"]
        self.history, self._sums = state["history"], state["sums"]

    def train(self) -> None:
        """Train to the end.

        Raises:
            Interrupted: after a signal, with the state saved.
            RunError: a loss or a weight stopped being a number, or the state cannot be written; the last good
                state stays on disk.
            Abandoned: another process has ended.
        """
        started = saved = time.monotonic()
        before = self.seconds
        with _signals() as stop:
            while self.update < self.total:
                self._one_update()
                now = time.monotonic()
                self.seconds = before + now - started
                at_epoch = self._end_epoch()
                stopping = distributed.any_process(bool(stop), self.recipe.device)
                if at_epoch or stopping or now - saved > SAVE_EVERY_S or self.update == self.total:
                    self.save()
                    saved = now
                if at_epoch:
                    self._sheet(f"epoch-{self.epoch:04d}")
                if stopping and self.update < self.total:
                    raise Interrupted
        self._sheet("final")

    def save(self) -> None:
        """Write the state, which is the same in all processes.

        Raises:
            RunError: a weight is no number any more, or the disk is full or read-only; the old state stays.
        """
        if not distributed.is_first():
            return
        for name, network in self.recipe.networks.items():
            if not all(value.isfinite().all() for value in network.state_dict().values()):
                raise self._stopped(f"a weight of the {name}")
        parts: State = {
            kind: {name: part.state_dict() for name, part in getattr(self.recipe, kind).items()}
            for kind in ("networks", "averaged", "optimizers")
        }
        state = parts | {
            "update": self.update,
            "seconds": self.seconds,
            "history": self.history,
            "sums": self._sums,
            "memory": self.recipe.memory(),
        }
        self.run.save(state, self._run_progress())

    def _run_progress(self) -> RunProgress:
        return RunProgress(
            update=self.update,
            total=self.total,
            seconds=self.seconds,
            device=self.recipe.device.type,
            epochs=self.history,
        )

    def _one_update(self) -> None:
        recipe = self.recipe
        recipe.progress = self.update / self.total
        factor = recipe.learning_rate_factor()
        for name, optimizer in recipe.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self._base_rates[name] * factor
        first, second = self.batches.batch(self.update)
        random = Randomness(self.config.seed, self.update, recipe.device)
        with torch.autocast(recipe.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            losses = _means(recipe.update(first, second, random))
        self.update += 1
        decay = min(self.config.ema_decay, self.update / (self.update + 10))
        for name, average in recipe.averaged.items():
            follow(average, recipe.networks[name], decay)
        for name, loss in losses.items():
            value = loss.item()
            if not math.isfinite(value):
                raise self._stopped(f"loss {name}")
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._sums["updates"] = self._sums.get("updates", 0) + 1
        self._progress.tick(self.update, self.total, self.epoch, self._means())

    def _stopped(self, what: str) -> RunError:
        return RunError(
            f"{what} stopped being a number at update {self.update}; the last good state is in "
            f"{self.run.folder}. A smaller --learning-rate usually helps"
        )

    def _means(self) -> dict[str, float]:
        return {
            name: value / self._sums["updates"] for name, value in self._sums.items() if name != "updates"
        }

    def _end_epoch(self) -> bool:
        """Close the epoch's row of the history if this update completed a pass over the data, or the run."""
        complete = self.epoch > (self.update - 1) * self.config.batch_size // self.batches.images
        if not complete and self.update < self.total:
            return False
        self.history.append(
            {"epoch": self.epoch, "update": self.update, "seconds": self.seconds, **self._means()}
        )
        self._progress.epoch(self.history[-1])
        self._sums = {}
        return complete


def _means(losses: Losses) -> Losses:
    """Return the losses of the whole batch from those of this process's rows."""
    if distributed.count() == 1:
        return losses
    return dict(zip(losses, distributed.mean(torch.stack([*losses.values()])), strict=True))


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM while training, so that an update is never cut in half."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
