"""What waits for an engine, and one run of it: rows of several requests in, each one's own rows out.

batcher -> PendingRequest -> run_batch (in place or in a thread) -> PendingRequest.accept -> batcher
                                                     |-> leave_spans
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from service.errors import DeadlineExceeded, InferenceFailed, ServiceError
from service.inference.engine import Arrays, Runner
from service.inference.run_watchdog import WatchedRun
from service.observability import metrics, traces
from service.observability.metrics import GraphMetrics

logger = logging.getLogger(__name__)


class DeferredRows(Protocol):
    """Rows of one tensor of one request that are made when a run takes them, with those of other requests."""

    def __len__(self) -> int:
        """Return how many rows these are."""

    def __getitem__(self, rows: slice) -> Self:
        """Return some of them, as deferred as all."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the array they will be, (N, ...)."""

    @classmethod
    def materialize(cls, parts: Sequence[Self]) -> NDArray[Any]:
        """Make the rows of several requests at once, in their order: one array, as long as all together."""


Inputs = Mapping[str, NDArray[Any] | DeferredRows]
"""The rows of one request by tensor name, all as many."""


class PendingRequest:
    """One request's rows on one graph: `taken` rows have been put into runs, `done` have come back."""

    __slots__ = (
        "_queued_s",
        "answer",
        "deadline_s",
        "done",
        "inputs",
        "outputs",
        "rows",
        "shapes",
        "taken",
        "trace",
    )

    def __init__(self, inputs: Inputs, deadline_s: float, answer: asyncio.Future[Arrays]) -> None:
        self.inputs = inputs
        self.deadline_s = deadline_s
        self.rows = len(next(iter(inputs.values())))
        self.shapes = [value.shape[1:] for value in inputs.values()]
        self.answer = answer
        self.outputs: Arrays = {}
        self.taken = self.done = 0
        self.trace = traces.recorded()
        self._queued_s = time.perf_counter()

    def take(self, rows: int) -> RowSlice:
        """Take the next rows, as many or as few as there are, to put them into a run."""
        start, self.taken = self.taken, min(self.taken + rows, self.rows)
        if not start:
            metrics.QUEUE.end(self._queued_s, self.trace, {traces.ROWS: self.rows})
        return RowSlice(self, start, self.taken)

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


class RowSlice(NamedTuple):
    """The rows `start` to `stop` of a request, one stretch of a batch."""

    request: PendingRequest
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


class BatchResult(NamedTuple):
    """What came of a batch: one piece of outputs per part, None where the part failed."""

    pieces: list[Arrays | None]
    started_s: float
    """A time of `time.perf_counter()`."""
    seconds: float
    is_cut: bool = False
    """It took far too long, and was ended."""

    def error(self) -> ServiceError:
        """Return what to say of a part that has no outputs."""
        return DeadlineExceeded() if self.is_cut else InferenceFailed()


def run_batch(engine: Runner, parts: list[RowSlice], watched: WatchedRun) -> BatchResult:
    """Run a batch, on whatever thread, and cut its outputs into the parts'.

    If the batch fails, its requests are run one by one, so that only the faulty ones get an error.
    """
    started = time.perf_counter()
    try:
        with watched as options:
            outputs = engine.run(_join(parts), options)
    except Exception:  # whatever a graph raises, its callers must be answered
        if watched.is_cut:
            seconds = time.perf_counter() - started
            logger.error("a run of %d parts was cut off after %.1f s", len(parts), seconds)
            return BatchResult([None] * len(parts), started, seconds, is_cut=True)
        if len(parts) > 1:
            pieces = [run_batch(engine, [part], watched).pieces[0] for part in parts]
            return BatchResult(pieces, started, time.perf_counter() - started)
        logger.exception("a run of %d rows failed", parts[0].rows)
        return BatchResult([None], started, time.perf_counter() - started)
    return BatchResult(_split(outputs, parts), started, time.perf_counter() - started)


def leave_spans(parts: list[RowSlice], done: BatchResult, metrics: GraphMetrics) -> None:
    """Leave the span `compute` with every request that is traced; those of one run link to its first."""
    first = None
    for part, piece in zip(parts, done.pieces, strict=True):
        if part.request.trace is None:
            continue
        said = {
            **metrics.attributes,
            traces.ROWS: part.rows,
            traces.BATCH_ROWS: sum(each.rows for each in parts),
            traces.BATCH_REQUESTS: len(parts),
        }
        error = done.error().code if piece is None else None
        ended_s = done.started_s + done.seconds
        span = part.request.trace.add("compute", done.started_s, ended_s, said, link=first, error=error)
        first = first or span


def _join(parts: list[RowSlice]) -> Arrays:
    """Concatenate the parts' rows, and make those that are deferred."""
    return {
        name: _rows([request.inputs[name][a:b] for request, a, b in parts])
        for name in parts[0].request.inputs
    }


def _rows(pieces: list[Any]) -> NDArray[Any]:
    if not isinstance(pieces[0], np.ndarray):
        return cast(DeferredRows, pieces[0]).materialize(pieces)
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _split(outputs: Arrays, parts: list[RowSlice]) -> list[Arrays | None]:
    """Cut views of the parts' rows, None for a part with a number that is not finite."""
    finite = all(np.isfinite(value).all() for value in outputs.values())
    pieces: list[Arrays | None] = []
    offset = 0
    for part in parts:
        end = offset + part.rows
        piece = {name: value[offset:end] for name, value in outputs.items()}
        if finite or all(np.isfinite(value).all() for value in piece.values()):
            pieces.append(piece)
        else:
            logger.error("a run gave numbers that are not finite")
            pieces.append(None)
        offset = end
    return pieces
