"""One run of a graph for several requests: each gets its own rows, or its own failure."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan

from service.checkpoint.manifest import Graph, LatentSpec
from service.errors import DeadlineExceeded, InferenceFailed
from service.inference.batch import PendingRequest, RowSlice, leave_spans, run_batch
from service.inference.engine import Arrays, Engine
from service.inference.run_watchdog import RunWatchdog
from service.latent_space import sampling
from service.latent_space.sampling import Draw
from service.observability import traces
from service.observability.metrics import GraphMetrics
from support.recorded_spans import RecordedSpans
from support.tiny_checkpoints import describe_tiny

NEVER_S = math.inf
BAD = 1e20


def engine_of(key: str = "decode", **options: Any) -> Engine:
    manifest, files = describe_tiny(**options)
    return Engine(files[f"{key}.onnx"], Graph.model_validate(manifest["operations"][key]))


ENGINE = engine_of()


def latents(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)


def request(rows: np.ndarray, **others: Any) -> PendingRequest:
    loop = asyncio.get_running_loop()
    return PendingRequest({"latents": rows, **others}, NEVER_S, loop.create_future())


def run(parts: list[RowSlice], engine: Engine = ENGINE) -> list[Arrays | None]:
    done = run_batch(engine, parts, RunWatchdog(60).watch(0))
    for part, piece in zip(parts, done.pieces, strict=True):
        if piece is None:
            part.request.fail(done.error())
        else:
            part.request.accept(part.start, piece)
    return done.pieces


def alone(inputs: Mapping[str, np.ndarray], engine: Engine = ENGINE) -> np.ndarray:
    images: np.ndarray = engine.run(inputs)["images"]
    return images


async def test_each_request_gets_the_rows_that_are_its_own():
    requests = [request(latents(rows, rows)) for rows in (1, 3, 2)]
    run([one.take(10) for one in requests])
    for one in requests:
        assert np.array_equal((await one.answer)["images"], alone(one.inputs))


async def test_a_request_is_taken_in_pieces_that_may_come_back_in_any_order():
    whole = request(latents(7))
    pieces = [whole.take(3), whole.take(3), whole.take(3)]
    assert [(part.start, part.stop, part.rows) for part in pieces] == [(0, 3, 3), (3, 6, 3), (6, 7, 1)]
    for part in (pieces[2], pieces[0]):
        run([part])
        assert not whole.answer.done()
    run([pieces[1]])
    assert np.array_equal((await whole.answer)["images"], alone(whole.inputs))


async def test_a_row_that_is_not_finite_fails_its_own_request_alone():
    good, bad = request(latents(2)), request(np.full((1, 4), BAD, np.float32))
    assert [piece is None for piece in run([bad.take(1), good.take(2)])] == [True, False]
    assert np.array_equal((await good.answer)["images"], alone(good.inputs))
    with pytest.raises(InferenceFailed):
        await bad.answer


async def test_where_the_run_fails_every_request_is_run_alone():
    """A class that does not exist makes the whole run fail, so nothing says whose fault it is."""
    engine = engine_of("generate", classes=("x", "y"))
    requests = [request(latents(1), labels=np.array([label])) for label in (0, 99, 1)]
    run([one.take(1) for one in requests], engine)
    answers = await asyncio.gather(*(one.answer for one in requests), return_exceptions=True)
    assert [type(answer) for answer in answers] == [dict, InferenceFailed, dict]
    assert np.array_equal(answers[2]["images"], alone(requests[2].inputs, engine))


async def test_a_run_that_takes_far_too_long_is_late_for_all_and_not_tried_again():
    watchdog = RunWatchdog(0.1)
    watchdog.start()
    parts = [request(rows).take(1) for rows in (np.float32([[1e6, 0, 0, 0]]), latents(1))]
    engine = engine_of(operations=("decode",), endless="loop")
    done = await asyncio.to_thread(run_batch, engine, parts, watchdog.watch(0))
    watchdog.stop()
    assert done.is_cut
    assert done.pieces == [None, None]
    assert isinstance(done.error(), DeadlineExceeded)
    assert 0.1 <= done.seconds < 5


async def test_latents_that_are_still_to_be_drawn_are_drawn_together():
    spec = LatentSpec(shape=(4,))
    draws = [Draw([7, 8], spec, 1.0), Draw([1], spec, 0.5)]
    requests = [request(one) for one in draws]  # type: ignore[arg-type]
    run([one.take(10) for one in requests])
    for one, draw in zip(requests, draws, strict=True):
        expected = sampling.noise(draw.seeds, spec, draw.truncation)
        assert np.array_equal((await one.answer)["images"], alone({"latents": expected}))


async def test_what_comes_back_to_nobody_is_dropped():
    gone = request(latents(2))
    part = gone.take(2)
    gone.answer.cancel()
    run([part])
    gone.fail(InferenceFailed())
    assert gone.answer.cancelled()


async def test_traced_requests_of_one_run_link_to_its_first():
    spans, untraced = RecordedSpans(), request(latents(1))
    names = ("first", "second", "failed")

    async def traced(rows: np.ndarray) -> PendingRequest:
        traces.enter(spans.begin())
        return request(rows)

    rows = (latents(2), latents(1), np.full((1, 4), BAD, np.float32))
    requests = [await asyncio.create_task(traced(one)) for one in rows]
    parts = [one.take(10) for one in (untraced, *requests)]
    done = run_batch(ENGINE, parts, RunWatchdog(60).watch(0))
    leave_spans(parts, done, GraphMetrics("tiny", "decode"))
    found: dict[str, ReadableSpan] = dict(zip(names, spans.all("compute"), strict=True))
    assert [attributes(found[name])["latent.rows"] for name in names] == [2, 1, 1]
    for name, span in found.items():
        assert (attributes(span)["latent.batch.rows"], attributes(span)["latent.batch.requests"]) == (5, 4)
        assert attributes(span).get("error.type") == ("inference-failed" if name == "failed" else None)
        linked = [link.context.span_id for link in span.links]
        assert linked == ([] if name == "first" else [found["first"].context.span_id])
    assert [attributes(span) for span in spans.all("queue")] == [{"latent.rows": len(one)} for one in rows]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
