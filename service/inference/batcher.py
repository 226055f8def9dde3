"""The queue in front of an engine: rows of many requests become one run, and are handed back apart.

    Model.run -> Batcher.run -> queue of small requests -> one run at a time, of many requests
                             -> queue of large requests -> runs in threads beside it, a piece of one each

Nothing waits for company: an idle engine runs what is there, and what arrives meanwhile is the next batch.
A row's result does not depend on the batch it was in; a batch never exceeds the size up to which that holds.
A request of more rows than a batch is cut into pieces, which run beside each other on idle cores while small
requests pass.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context

from service.errors import DeadlineExceeded, InferenceFailed, QueueFull
from service.inference.batch import BatchResult, Inputs, PendingRequest, RowSlice, leave_spans, run_batch
from service.inference.engine import Arrays, Runner
from service.inference.latency_model import LatencyModel
from service.inference.run_watchdog import RunWatchdog
from service.inference.thread_pools import ThreadPools
from service.observability.metrics import GraphMetrics

IN_PLACE_S = 0.005
"""A run expected to be shorter than this happens on the event loop: what a thread returns has to wait for the
interpreter, which is busy with other requests, and for as long as this at worst."""

PIECE_S = 0.0015
"""A piece of a large request takes about as long where small ones wait for their turn on the core."""

MOST_IN_PLACE = 1.25
"""Short runs, one after another in place, may take this much longer than one long run in a thread."""


class Batcher:
    """Runs one graph for many requests, fairly and within bounds. Belongs to one event loop."""

    def __init__(
        self,
        engine: Runner,
        *,
        batch_rows: int,
        queue_rows: int,
        latency_model: LatencyModel,
        threads: ThreadPools,
        watchdog: RunWatchdog,
        metrics: GraphMetrics,
        row_values: int | None = None,
    ) -> None:
        """Put a queue before `engine`. No run exceeds `batch_rows` and no more than `queue_rows` wait.

        Where rows differ in size, `latency_model` counts as one row a first input of `row_values` numbers.
        """
        self._engine = engine
        self._batch_rows = batch_rows
        self._queue_rows = queue_rows
        self._latency_model = latency_model
        self._threads = threads
        self._watchdog = watchdog
        self._metrics = metrics
        self._row_values = row_values
        self._loop: asyncio.AbstractEventLoop | None = None
        self._small: OrderedDict[PendingRequest, None] = OrderedDict()
        self._large: OrderedDict[PendingRequest, None] = OrderedDict()
        self._waiting_rows = 0
        """Rows that are in the queue and in no run yet."""
        self._shown_rows = 0
        self._awake = False
        self._nobody = Context()
        """That of no request: what is said of a run is not said of the one that set it off."""
        self._runs_in_threads = 0
        self._pieces_running = 0

    async def run(self, inputs: Inputs, deadline_s: float = math.inf) -> Arrays:
        """Run the graph on N >= 1 rows and return its outputs by name, N rows each.

        `deadline_s` is a time of `time.monotonic()`, after which no row is run any more; who must answer by
        then cancels this. The arrays belong to the batcher until this returns.

        Raises:
            QueueFull: so many rows wait already that these do not fit.
            DeadlineExceeded: the deadline had passed when the turn came to one of these rows, or their run
                was cut off.
            InferenceFailed: the graph failed on one of these rows or gave a number that is not finite.
        """
        if self._loop is None:  # kept, since asking for it is a system call
            self._loop = asyncio.get_running_loop()
        request = PendingRequest(inputs, deadline_s, self._loop.create_future())
        if self._waiting_rows + request.rows > self._queue_rows:
            self._metrics.refused(QueueFull.code)
            raise QueueFull(headers={"Retry-After": str(self._retry_after_s())})
        is_large = request.rows > self._batch_rows
        queue = self._large if is_large else self._small
        queue[request] = None
        self._count_waiting(request.rows)
        if is_large:
            self._start_pieces(self._loop)
        else:
            self._wake(self._loop)
        try:
            return await request.answer
        except (DeadlineExceeded, InferenceFailed) as error:
            self._metrics.refused(error.code)
            raise
        finally:
            if request.taken < request.rows:
                queue.pop(request, None)
                self._count_waiting(request.taken - request.rows)

    def _retry_after_s(self) -> int:
        runs = self._waiting_rows / self._batch_rows
        return max(1, math.ceil(runs * self._latency_model.seconds(self._batch_rows)))

    def _count_waiting(self, rows: int) -> None:
        self._waiting_rows += rows
        if self._runs_in_threads or self._shown_rows:  # else they are in a run before anybody could look
            self._show_waiting()

    def _show_waiting(self) -> None:
        self._metrics.queue_rows.inc(self._waiting_rows - self._shown_rows)  # other versions count there too
        self._shown_rows = self._waiting_rows

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Schedule a run, after the requests that arrived in this tick of the loop have queued up too."""
        if not self._awake:
            self._awake = True
            loop.call_soon(self._run_next, loop, context=self._nobody)

    def _run_next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run a batch of small requests."""
        parts = self._next_batch()
        if not parts:
            self._awake = False
            return
        self._threads.note_small_run()
        if self._expected_s(parts) > IN_PLACE_S:
            self._run_in_thread(loop, self._threads.small, parts, self._run_next)
            return
        self._finish(parts, run_batch(self._engine, parts, self._watchdog.watch(IN_PLACE_S)))
        loop.call_soon(self._run_next, loop)

    def _start_pieces(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run pieces of large requests, in turns, as many at once as there are threads for."""
        while self._pieces_running < self._threads.pieces:
            request = self._next_request(self._large)
            if request is None:
                return
            part = request.take(self._rows_of_a_piece())
            self._count_waiting(-part.rows)
            if request.taken < request.rows:
                self._large[request] = None
            self._pieces_running += 1
            self._run_in_thread(loop, self._threads.large, [part], self._end_piece)

    def _end_piece(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pieces_running -= 1
        self._start_pieces(loop)
        if not self._pieces_running:
            self._threads.tidy_later(loop)

    def _run_in_thread(
        self,
        loop: asyncio.AbstractEventLoop,
        executor: Executor,
        parts: list[RowSlice],
        go_on: Callable[[asyncio.AbstractEventLoop], None],
    ) -> None:
        def end(done: asyncio.Future[BatchResult]) -> None:
            self._finish(parts, done.result())
            go_on(loop)
            self._runs_in_threads -= 1

        self._runs_in_threads += 1
        self._show_waiting()
        watched = self._watchdog.watch(self._expected_s(parts))
        loop.run_in_executor(executor, run_batch, self._engine, parts, watched).add_done_callback(end)

    def _expected_s(self, parts: list[RowSlice]) -> float:
        return self._latency_model.seconds(self._work(parts))

    def _work(self, parts: list[RowSlice]) -> float:
        """Return how many rows these are, or take as long as."""
        if self._row_values is None:
            return sum(part.rows for part in parts)
        return sum(part.rows * math.prod(part.request.shapes[0]) for part in parts) / self._row_values

    def _finish(self, parts: list[RowSlice], done: BatchResult) -> None:
        """Hand every part its rows."""
        rows = sum(part.rows for part in parts)
        self._latency_model.add(self._work(parts), done.seconds)
        self._metrics.batch_rows.observe(rows)
        self._metrics.run_seconds.observe(done.seconds)
        for part, piece in zip(parts, done.pieces, strict=True):
            if piece is None:
                part.request.fail(done.error())
            else:
                part.request.accept(part.start, piece)
        leave_spans(parts, done, self._metrics)

    def _next_batch(self) -> list[RowSlice]:
        """Take rows of small requests, first come, first served, until the batch is full.

        Rows of different shapes do not go together; the shape of the first request in the queue it is.
        """
        room = self._rows_of_a_run()
        parts: list[RowSlice] = []
        others: list[PendingRequest] = []
        while room and (request := self._next_request(self._small)):
            # Another shape is taken out, not left in its place: the queue is read from its front alone, and
            # what is there must not keep rows that fit from filling the batch.
            if parts and request.shapes != parts[0].request.shapes:
                others.append(request)
                continue
            parts.append(request.take(room))
            room -= parts[-1].rows
            if request.taken < request.rows:
                others.append(request)
        # Back to the front, in the order they came: the next batch has the shape of the first that was passed
        # over, so that no shape starves another. The rest of a request that was cut comes after those.
        for request in reversed(others):
            self._small[request] = None
            self._small.move_to_end(request, last=False)
        self._count_waiting(-sum(part.rows for part in parts))
        return parts

    def _rows_of_a_run(self) -> int:
        """Return how many rows to take at once: a whole batch, or what fits in place if that costs little."""
        whole, in_place = self._batch_rows, self._latency_model.rows(IN_PLACE_S)
        if not 0 < in_place < whole:
            return whole
        one_after_another_s = whole / in_place * self._latency_model.seconds(in_place)
        return (
            in_place if one_after_another_s <= MOST_IN_PLACE * self._latency_model.seconds(whole) else whole
        )

    def _rows_of_a_piece(self) -> int:
        """Return how many rows of a large request to run at once: few where small requests wait beside it."""
        if self._threads.is_quiet:
            return self._batch_rows
        if self._latency_model.seconds(1) > self._latency_model.seconds(self._batch_rows) / 2:
            return self._batch_rows  # few take as long as all
        return min(max(1, self._latency_model.rows(PIECE_S)), self._batch_rows)

    @staticmethod
    def _next_request(queue: OrderedDict[PendingRequest, None]) -> PendingRequest | None:
        """Take the first request that somebody still waits for and whose deadline has not passed."""
        while queue:
            request, _ = queue.popitem(last=False)
            if request.deadline_s <= time.monotonic():
                request.fail(DeadlineExceeded())
            if not request.answer.done():
                return request
        return None
