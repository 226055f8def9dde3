"""The queue in front of an engine: rows of many requests become one run, and are handed back apart.

    Model.run -> Batcher.run -> queue -> one run of the engine at a time -> each request's own rows

Nothing waits for company: an idle engine runs what is there, and what arrives meanwhile is the next batch.
A row's result does not depend on the batch it was in; a batch never exceeds the size up to which that holds.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.engine import Arrays, Engine
from service.errors import DeadlineExceeded, InferenceFailed, QueueFull
from service.telemetry import GraphMetrics

IN_PLACE_S = 0.001
"""A run expected to be shorter than this happens on the event loop: a thread would cost it 60 us and more."""

TURNS_PER_BATCH = 4
"""A request takes at most this fraction of a batch before the next one in the queue has its turn."""

logger = logging.getLogger(__name__)


class RunTime:
    """Seconds a run of n rows takes: a + b*n, fitted to the recent runs with fading weights."""

    _WEIGHT = 0.05

    def __init__(self, one_row_s: float, rows: int, rows_s: float) -> None:
        """Start from the measured times of 1 row and of `rows` rows."""
        half = (rows - 1) / 2
        self._rows, self._seconds = (1 + rows) / 2, (one_row_s + rows_s) / 2
        self._variance, self._covariance = half**2, half * (rows_s - one_row_s) / 2
        self._slope = self._covariance / self._variance if half else 0.0

    def seconds(self, rows: int) -> float:
        """Return how long a run of `rows` rows is expected to take."""
        return max(0.0, self._seconds + self._slope * (rows - self._rows))

    def add(self, rows: int, seconds: float) -> None:
        """Learn from one run. A single stall of the machine counts as four times the expected at most."""
        seconds = min(seconds, 4 * self.seconds(rows) + 1e-5)
        more_rows, more_seconds = rows - self._rows, seconds - self._seconds
        self._rows += self._WEIGHT * more_rows
        self._seconds += self._WEIGHT * more_seconds
        self._variance = (1 - self._WEIGHT) * (self._variance + self._WEIGHT * more_rows**2)
        self._covariance = (1 - self._WEIGHT) * (self._covariance + self._WEIGHT * more_rows * more_seconds)
        if self._variance > 1e-6:  # else all recent runs were of one size and say nothing about the slope
            self._slope = max(0.0, self._covariance / self._variance)


class _Job:
    """One request's rows on one graph: `taken` rows have been put into runs, `done` have come back."""

    __slots__ = ("answer", "done", "inputs", "outputs", "rows", "shapes", "taken")

    def __init__(self, inputs: Mapping[str, NDArray[Any]], answer: asyncio.Future[Arrays]) -> None:
        self.inputs = inputs
        self.rows = len(next(iter(inputs.values())))
        self.shapes = [value.shape[1:] for value in inputs.values()]
        self.answer = answer
        self.outputs: Arrays = {}
        self.taken = self.done = 0

    def expire(self) -> None:
        """Fail with DeadlineExceeded, unless the answer is there."""
        self.fail(DeadlineExceeded())

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless there is an answer or nobody waits for it any more."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def accept(self, start: int, piece: Arrays) -> None:
        """Take the outputs of the rows from `start` on, and answer once all rows are there."""
        if self.answer.done():
            return
        rows = len(next(iter(piece.values())))
        if rows == self.rows:
            self.answer.set_result(piece)
            return
        for name, value in piece.items():
            if name not in self.outputs:
                self.outputs[name] = np.empty((self.rows, *value.shape[1:]), value.dtype)
            self.outputs[name][start : start + rows] = value
        self.done += rows
        if self.done == self.rows:
            self.answer.set_result(self.outputs)


class _Part(NamedTuple):
    """The rows `start` to `stop` of a job, one stretch of a batch."""

    job: _Job
    start: int
    stop: int


class _Run(NamedTuple):
    """What came of a batch: one piece of outputs per part, None where the part failed."""

    pieces: list[Arrays | None]
    seconds: float


class Batcher:
    """Runs one graph for many requests, fairly and within bounds. Belongs to one event loop."""

    def __init__(
        self,
        engine: Engine,
        *,
        batch_rows: int,
        queue_rows: int,
        run_time: RunTime,
        executor: Executor,
        metrics: GraphMetrics,
    ) -> None:
        """Put a queue before `engine`.

        No run exceeds `batch_rows` and no more than `queue_rows` wait. Long runs go to `executor`.
        """
        self._engine = engine
        self._batch_rows = batch_rows
        self._turn_rows = max(1, batch_rows // TURNS_PER_BATCH)
        self._queue_rows = queue_rows
        self._run_time = run_time
        self._executor = executor
        self._metrics = metrics
        self._queue: OrderedDict[_Job, None] = OrderedDict()
        self._waiting_rows = 0
        self._awake = False

    @property
    def waiting_rows(self) -> int:
        """Rows that are in the queue and in no run yet."""
        return self._waiting_rows

    async def run(self, inputs: Mapping[str, NDArray[Any]], deadline_s: float | None) -> Arrays:
        """Run the graph on N >= 1 rows and return its outputs by name, N rows each.

        `deadline_s` is a time of `time.monotonic()`. The arrays belong to the batcher until this returns.

        Raises:
            QueueFull: so many rows wait already that these do not fit.
            DeadlineExceeded: the deadline passed before the last row was done.
            InferenceFailed: the graph failed on one of these rows or gave a number that is not finite.
        """
        loop = asyncio.get_running_loop()
        job = _Job(inputs, loop.create_future())
        remaining_s = math.inf if deadline_s is None else deadline_s - time.monotonic()
        if remaining_s <= 0:
            self._metrics.refused(DeadlineExceeded.code)
            raise DeadlineExceeded
        if self._waiting_rows + job.rows > self._queue_rows:
            self._metrics.refused(QueueFull.code)
            raise QueueFull(headers={"Retry-After": str(self._retry_after_s())})
        timer = loop.call_later(remaining_s, job.expire) if deadline_s is not None else None
        self._queue[job] = None
        self._count_waiting(job.rows)
        self._wake(loop)
        try:
            return await job.answer
        except (DeadlineExceeded, InferenceFailed) as error:
            self._metrics.refused(error.code)
            raise
        finally:
            if timer:
                timer.cancel()
            self._queue.pop(job, None)
            self._count_waiting(job.taken - job.rows)

    def _retry_after_s(self) -> int:
        runs = self._waiting_rows / self._batch_rows
        return max(1, math.ceil(runs * self._run_time.seconds(self._batch_rows)))

    def _count_waiting(self, rows: int) -> None:
        if rows:
            self._waiting_rows += rows
            self._metrics.queue_rows.inc(rows)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Schedule a run, after the requests that arrived in this tick of the loop have queued up too."""
        if not self._awake:
            self._awake = True
            loop.call_soon(self._run_next, loop)

    def _run_next(self, loop: asyncio.AbstractEventLoop) -> None:
        parts = self._next_batch()
        if not parts:
            self._awake = False
            return
        rows = sum(part.stop - part.start for part in parts)
        if self._run_time.seconds(rows) < IN_PLACE_S:
            self._finish(loop, parts, _run(self._engine, parts))
            return
        running = loop.run_in_executor(self._executor, _run, self._engine, parts)
        running.add_done_callback(lambda done: self._finish(loop, parts, done.result()))

    def _finish(self, loop: asyncio.AbstractEventLoop, parts: list[_Part], run: _Run) -> None:
        """Hand every part its rows and go on with the queue."""
        loop.call_soon(self._run_next, loop)
        rows = sum(part.stop - part.start for part in parts)
        self._run_time.add(rows, run.seconds)
        self._metrics.batch_rows.observe(rows)
        self._metrics.run_seconds.observe(run.seconds)
        for part, piece in zip(parts, run.pieces, strict=True):
            if piece is None:
                part.job.fail(InferenceFailed())
            else:
                part.job.accept(part.start, piece)

    def _next_batch(self) -> list[_Part]:
        """Take rows from the queue, in turns, until the batch is full.

        Rows of different shapes do not go together; the shape of the first request in the queue it is.
        """
        room = self._batch_rows
        starts: dict[_Job, int] = {}
        others: list[_Job] = []
        shapes: list[tuple[int, ...]] | None = None
        while room and self._queue:
            job, _ = self._queue.popitem(last=False)
            if job.answer.done():
                continue
            shapes = shapes or job.shapes
            if job.shapes != shapes:
                others.append(job)
                continue
            starts.setdefault(job, job.taken)
            rows = min(self._turn_rows, room, job.rows - job.taken)
            job.taken += rows
            room -= rows
            if job.taken < job.rows:
                self._queue[job] = None
        for job in reversed(others):
            self._queue[job] = None
            self._queue.move_to_end(job, last=False)
        self._count_waiting(room - self._batch_rows)
        return [_Part(job, start, job.taken) for job, start in starts.items()]


def _run(engine: Engine, parts: list[_Part]) -> _Run:
    """Run a batch, on whatever thread, and cut its outputs into the parts'.

    A failure is blamed on nobody: every part is run alone then, so that the innocent are answered.
    """
    started = time.perf_counter()
    try:
        outputs = engine.run(_join(parts))
    except Exception:  # whatever a graph raises, its callers must be answered
        if len(parts) > 1:
            pieces = [_run(engine, [part]).pieces[0] for part in parts]
            return _Run(pieces, time.perf_counter() - started)
        logger.exception("a run of %d rows failed", parts[0].stop - parts[0].start)
        return _Run([None], time.perf_counter() - started)
    return _Run(_split(outputs, parts), time.perf_counter() - started)


def _join(parts: list[_Part]) -> Arrays:
    """Lay the parts' rows behind one another."""
    if len(parts) == 1:
        job, start, stop = parts[0]
        return {name: value[start:stop] for name, value in job.inputs.items()}
    names = parts[0].job.inputs
    return {name: np.concatenate([job.inputs[name][a:b] for job, a, b in parts]) for name in names}


def _split(outputs: Arrays, parts: list[_Part]) -> list[Arrays | None]:
    """Cut views of the parts' rows, None for a part with a number that is not finite."""
    finite = all(np.isfinite(value).all() for value in outputs.values())
    pieces: list[Arrays | None] = []
    offset = 0
    for part in parts:
        end = offset + part.stop - part.start
        piece = {name: value[offset:end] for name, value in outputs.items()}
        if finite or all(np.isfinite(value).all() for value in piece.values()):
            pieces.append(piece)
        else:
            logger.error("a run gave numbers that are not finite")
            pieces.append(None)
        offset = end
    return pieces
