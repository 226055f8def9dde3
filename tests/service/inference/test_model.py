"""A checkpoint that can run: what its trace says, and what it says of a reference that is not there."""

import asyncio
import math
from pathlib import Path

import numpy as np
import pytest

from service.errors import OperationNotOffered
from service.observability import traces
from support.loaded_models import load_tiny
from support.recorded_spans import RecordedSpans

LATENTS = {"latents": np.zeros((3, 4), np.float32)}


def test_a_reference_that_is_not_there_ends_the_sentence_of_whoever_needs_it(tmp_path: Path):
    model = load_tiny(tmp_path, reference=("a", "b"))
    assert model.need_reference("") is model.reference
    plain = load_tiny(tmp_path, "plain")
    with pytest.raises(OperationNotOffered) as refusal:
        plain.need_reference(", so there is no map")
    assert refusal.value.detail == "plain has no reference file, so there is no map."


def test_the_preview_is_that_of_the_checkpoint(tmp_path: Path):
    assert (load_tiny(tmp_path).preview or b"").startswith(b"\x89PNG")


async def test_a_traced_request_says_which_version_ran_on_how_many_rows(tmp_path: Path):
    model, spans = load_tiny(tmp_path, version=7), RecordedSpans()
    trace = spans.begin()

    async def work() -> None:
        traces.enter(trace)
        for _ in range(2):
            await model.run("decode", LATENTS, math.inf)

    await asyncio.create_task(work())
    trace.end("POST /decode", {})
    said = dict(spans.ended()["POST /decode"].attributes or {})
    assert said == {"latent.model": "tiny", "latent.version": 7, "latent.rows": 6}
    assert spans.ended()["compute"].attributes == {
        "latent.model": "tiny",
        "latent.graph": "decode",
        "latent.rows": 3,
        "latent.batch.rows": 3,
        "latent.batch.requests": 1,
    }
