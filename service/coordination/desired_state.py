"""What is to serve: one state that the supervisor publishes, and all workers follow at the same moment.

    Repository.give -> Participant.order -> DesiredState.settle -> Participant.orders, in every worker
    Repository.refresh -> Participant.prepare -> DesiredState.settle -> Participant.committed, in every worker

A two-phase commit. A worker loads what the folder and the admin's orders ask for, prepares that choice, and
goes on serving what was committed before. Once all have prepared the same, the supervisor writes one number
that each worker reads with every request: who has seen a new version from one sees it from all. A worker
that died, or hung and was killed, has no part in it.

The supervisor compares numbers and knows nothing of what they stand for: no checkpoint reaches it. Where
there is no supervisor, a state of one worker is settled by that worker.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable

from service.coordination.shared_counters import SharedCounters

CHANCES = 3
"""Scans of every worker without a new choice, after which they are not expected to agree: the first may have
been on its way, the second was not, and a third time is no chance."""

HANGS_S = 1.5
"""A worker that has not even noticed an order after this time hangs: workers check far more often."""

CHECK_EVERY_S = 0.05
"""Time from one check whether all workers have followed an order to the next."""

POLL_S = 0.002
"""Time from one check whether the supervisor has seen a choice to the next."""

REVISION_BITS = 20
MAX_ORDERS = (1 << REVISION_BITS) - 1
"""Orders that can be given until the service is started again: one a minute for two years."""

NOTHING = 0
"""No choice, or no order."""

COMMITTED, IS_PENDING, REVISION, FOLLOWED = range(4)
"""What is published: the choice that serves, below 0 if each worker serves its own; whether there is more to
do; how many orders were given; how many of them hold in every worker."""


def mark(text: str, bits: int = 62) -> int:
    """Return a number above 0 that stands for a text, the same in every process."""
    return max(1, int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 64 - bits)


def choose(content: str, revision: int) -> int:
    """Return the choice of something that follows the first `revision` orders."""
    return mark(content, 63 - REVISION_BITS) << REVISION_BITS | revision


def revision_of(choice: int) -> int:
    """Return how many orders a choice follows."""
    return choice & MAX_ORDERS


class _Shared:
    """The numbers, each written by one process."""

    def __init__(self, workers: int) -> None:
        self.published = SharedCounters(4)
        self.orders = SharedCounters(MAX_ORDERS)
        """All that were given: marks of names, below 0 to unload one. They take memory as they come."""
        self.prepared, self.scans = SharedCounters(workers), SharedCounters(workers)
        self.noticed = SharedCounters(workers)
        """How many orders each worker knows of: one that hangs falls short."""
        self.seen = SharedCounters(workers)
        """Of each worker the choice that the supervisor knows of: no earlier one is committed any more."""


class DesiredState:
    """The supervisor's part in it; made before the workers are forked."""

    def __init__(self, workers: int) -> None:
        self._shared = _Shared(workers)
        self._choices: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._scans_before: list[int] = []
        """Of each worker, when a choice changed last."""
        self._splits = 0

    def participant(self, worker: int, report: Callable[[int], None] | None = None) -> Participant:
        """Return the part of the worker of this number, from 0 on; `report` has its order settled, if any."""
        return Participant(self._shared, worker, report or (lambda order: self.settle([order])))

    def leave(self, worker: int) -> None:
        """Take the part of a worker that is gone."""
        self._shared.prepared[worker] = NOTHING
        self.settle()

    def settle(self, orders: Iterable[int] = ()) -> None:
        """Take orders, and commit what the workers have prepared if they agree, or never will."""
        shared, published = self._shared, self._shared.published
        for order in orders:
            if order != NOTHING and published[REVISION] < MAX_ORDERS:
                shared.orders[published[REVISION]] = order
                published[REVISION] += 1
        choices = {worker: choice for worker, choice in enumerate(shared.prepared) if choice != NOTHING}
        if choices != self._choices:
            self._choices, self._scans_before = choices, list(shared.scans)
        if choices and choices != self._committed and (self._agree() or self._had_their_chances()):
            self._commit()
        published[FOLLOWED] = min(map(revision_of, self._committed.values()), default=0)
        published[IS_PENDING] = choices != self._committed or published[FOLLOWED] < published[REVISION]
        for worker, choice in choices.items():
            shared.seen[worker] = choice

    def _agree(self) -> bool:
        return len(set(self._choices.values())) == 1

    def _had_their_chances(self) -> bool:
        scans = self._shared.scans
        return all(scans[worker] >= self._scans_before[worker] + CHANCES for worker in self._choices)

    def _commit(self) -> None:
        """Have every worker serve its choice; where they differ, by a number that was never used before."""
        self._splits += not self._agree()
        self._shared.published[COMMITTED] = max(self._choices.values()) if self._agree() else -self._splits
        self._committed = self._choices


class Participant:
    """One worker's part in it."""

    def __init__(self, shared: _Shared, worker: int, report: Callable[[int], None]) -> None:
        self._shared = shared
        self._worker = worker
        self._report = report

    @property
    def committed(self) -> int:
        """Return the choice to serve from now on; below 0 it is what each worker has chosen last."""
        return self._shared.published[COMMITTED]

    @property
    def revision(self) -> int:
        """Return how many orders were given."""
        return self._shared.published[REVISION]

    def orders(self, since: int, until: int) -> dict[int, bool]:
        """Return the orders from one revision to another: names by their marks, and whether to serve them."""
        orders = [self._shared.orders[number] for number in range(since, until)]
        return {abs(order): order > 0 for order in orders}

    async def order(self, name: str, *, serve: bool, follow: Callable[[], None]) -> None:
        """Have all workers serve a name or not, and return once they do; this one does `follow` meanwhile.

        Raises:
            TimeoutError: a worker hangs, or the supervisor; the order holds as soon as they go on.
        """
        order, since = mark(name) if serve else -mark(name), self.revision
        hangs_s = time.monotonic() + HANGS_S
        self._report(order)
        while self._shared.published[FOLLOWED] < (revision := self._revision_with(order, since)):
            follow()
            await asyncio.sleep(CHECK_EVERY_S)
            if time.monotonic() > hangs_s and not self._all_noticed(revision):
                raise TimeoutError

    def _revision_with(self, order: int, since: int) -> int:
        """Return the first revision with an order; one that never comes if the order was not taken yet."""
        orders = self._shared.orders
        return next((n + 1 for n in range(since, self.revision) if orders[n] == order), MAX_ORDERS + 1)

    def _all_noticed(self, revision: int) -> bool:
        shared = zip(self._shared.prepared, self._shared.noticed, strict=True)
        return all(noticed >= revision for choice, noticed in shared if choice != NOTHING)

    def has_news(self) -> bool:
        """Note that this worker knows of all orders up to now; say whether it, or another, has to follow."""
        self._shared.noticed[self._worker] = self.revision
        return bool(self._shared.published[IS_PENDING])

    async def prepare(self, choice: int) -> None:
        """Offer what can be served, and return once no earlier choice of this worker can be committed."""
        self._shared.prepared[self._worker] = choice
        self._shared.scans[self._worker] += 1
        self._report(NOTHING)
        while self._shared.seen[self._worker] != choice:
            await asyncio.sleep(POLL_S)
