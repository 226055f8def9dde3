"""One served version of a checkpoint: its manifest, and for each graph a batcher before an engine.

repository -> loading.load -> Model;  route -> Model.run -> batcher -> engine
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from service.checkpoint.manifest import Manifest
from service.checkpoint.reference import Reference
from service.errors import OperationNotOffered, QueueFull
from service.inference.batch import Inputs
from service.inference.batcher import Batcher
from service.observability import traces

WAIT_S = 0.1
"""Time from one try to the next where the queue is full in the middle of a stream."""


class Model:
    """A checkpoint that can be run."""

    def __init__(
        self,
        manifest: Manifest,
        batchers: Mapping[str, Batcher],
        preview: bytes | None = None,
        reference: Reference | None = None,
    ) -> None:
        self.manifest = manifest
        self.preview = preview
        self.reference = reference
        self._batchers = batchers

    def need_reference(self, lacking: str) -> Reference:
        """Return the reference; `lacking` ends the sentence of the error.

        Raises:
            OperationNotOffered: the checkpoint came without.
        """
        if self.reference is None:
            raise OperationNotOffered(f"{self.manifest.name} has no reference file{lacking}.")
        return self.reference

    async def run(
        self, graph: str, inputs: Inputs, deadline_s: float, *, waits: bool = False
    ) -> dict[str, NDArray[Any]]:
        """Run one graph on N rows, together with whatever else is waiting for it.

        `graph` is a key of `Manifest.graphs`; `inputs` are float32 or int64 arrays by tensor name, or
        rows that are deferred, all with the same first axis N >= 1; `deadline_s` is a time of
        `time.monotonic()`. Returns the outputs by name.

        Where the queue is full, one that `waits` tries until its caller gives it up: in the middle of a
        stream there is nobody any more who could come again later.

        Raises:
            QueueFull, DeadlineExceeded, InferenceFailed: see `Batcher.run`.
        """
        trace = traces.recorded()
        if trace is not None:
            rows = len(next(iter(inputs.values())))
            trace.note_run(self.manifest.name, self.manifest.version, rows)
        while True:
            try:
                return await self._batchers[graph].run(inputs, deadline_s)
            except QueueFull:
                if not waits:
                    raise
                await asyncio.sleep(WAIT_S)
