"""From when on what serves: the workers agree, so that all change over at the same moment.

    Repository.refresh -> Vote.cast -> memory that all share -> Vote.decided -> Repository.get

A worker votes for what it has loaded and goes on serving what was decided before. Once all votes are equal,
the last worker to vote decides, by writing one number that every worker reads with every request: who has
seen a new version from one worker sees it from all. A worker that died, or hung and was killed, has no vote.
"""

from __future__ import annotations

import asyncio
import fcntl
import mmap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

TRY_EVERY_S = 0.001
"""Time from one try to be alone at the votes to the next."""

LOOKS = 3
"""Votes of every other worker after which one goes its own way: the first may have been on its way, the
second was not, and a third time is no chance."""

NOTHING = 0
"""No vote, or nothing decided."""


class Agreement:
    """All votes and what was decided; made before the workers are forked."""

    def __init__(self, lock: Path, workers: int) -> None:
        """Let one worker at a time vote, by a lock on a file that nobody else locks."""
        self._numbers = memoryview(mmap.mmap(-1, 8 * (1 + 2 * workers))).cast("q")
        self._workers = workers
        self._lock = lock

    def vote(self, worker: int) -> Vote:
        """Return the vote of the worker of this number, from 0 on."""
        return Vote(self._numbers, self._workers, self._lock, worker)

    def leave(self, worker: int) -> None:
        """Take the vote of a worker that is gone."""
        self._numbers[1 + worker] = NOTHING


class Vote:
    """One worker's part in it; choices are numbers above 0."""

    def __init__(self, numbers: memoryview, workers: int, lock: Path, worker: int) -> None:
        self._decided = numbers[:1]
        self._choices = numbers[1 : workers + 1]
        self._casts = numbers[workers + 1 :]
        self._lock = lock
        self._worker = worker
        self._casts_before: list[int] = []

    @property
    def decided(self) -> int:
        """Return what all are to serve from now on."""
        number: int = self._decided[0]
        return number

    @property
    def is_unanimous(self) -> bool:
        """Say whether all who vote have voted for what was decided."""
        return set(self._choices) <= {NOTHING, self.decided}

    @property
    def is_alone(self) -> bool:
        """Say whether others keep voting for something else, so that it makes no sense to wait for them."""
        return self.decided != self._choices[self._worker] and all(
            choice == NOTHING or casts >= before + LOOKS
            for choice, casts, before in zip(self._choices, self._casts, self._casts_before, strict=True)
        )

    @asynccontextmanager
    async def decide_alone(self) -> AsyncIterator[None]:
        """Let nobody else vote meanwhile."""
        with self._lock.open() as file:
            while not _is_locked(file.fileno()):
                await asyncio.sleep(TRY_EVERY_S)
            yield

    def cast(self, choice: int) -> None:
        """Vote, and decide if all others have voted for the same; nobody else may be voting."""
        if choice != self._choices[self._worker]:
            self._choices[self._worker] = choice
            self._casts_before = list(self._casts)
        self._casts[self._worker] += 1
        if set(self._choices) <= {NOTHING, choice}:
            self._decided[0] = choice


def _is_locked(file: int) -> bool:
    """Try to lock a file, until it is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
