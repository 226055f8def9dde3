"""The workers' metrics in memory that all of them share: a table per worker and type of metric.

    launch -> share -> prometheus_client, which keeps its tables here from then on
    supervisor -> be_worker, forget;  metrics -> AllWorkers -> /metrics

prometheus_client keeps the tables of several processes in files, which it maps and does not allocate: where
the file system is full, as the 64 MiB of a container's /dev/shm may be, counting kills a process (SIGBUS),
and each process leaves its files behind. This memory has no name, and the next worker of a number goes on
with what the last one has counted.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric, multiprocess, values
from prometheus_client.mmap_dict import MmapedDict

TABLE_BYTES = 8 << 20
"""Room of a table, for the run times of about 1,000 graphs; memory is taken as it is filled."""

SPARE_BYTES = 16
"""Behind it, a place for the numbers of all that find no room."""

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's variable for the folder of its files; their names are all that is left of them."""

TYPES = (
    "counter",
    "gauge_livemin",
    "gauge_livesum",
    "gauge_max",
    "gauge_mostrecent",
    "histogram",
    "summary",
)
"""As prometheus_client begins the names of its files; those of `live` gauges end with their process."""

logger = logging.getLogger(__name__)


class _Tables:
    """The memory by the names of its tables, and whose this process fills."""

    def __init__(self) -> None:
        self.memory: dict[str, mmap.mmap] = {}
        self.worker = 0

    def number(self) -> int:
        return self.worker


_tables = _Tables()


class _Table(MmapedDict):
    """prometheus_client's table, in shared memory instead of a file."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        self._m = _tables.memory[filename]
        self._capacity = TABLE_BYTES
        self._used = int.from_bytes(self._m[:4], "little")
        self._positions = {} if read_mode else {key: place for key, _, _, place in self._read_all_values()}  # type: ignore[no-untyped-call]

    @staticmethod
    def read_all_values_from_file(filename: str) -> Iterator[tuple[str, float, float, int]]:
        table = _Table(filename, read_mode=True)
        yield from table._read_all_values()  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + 2 * SPARE_BYTES <= self._capacity:
            super()._init_value(key)  # type: ignore[no-untyped-call]
            return
        if self._capacity not in self._positions.values():
            logger.error("there are more metrics than can be shared; some are missing from /metrics")
        self._positions[key] = self._capacity

    def close(self) -> None:
        """Keep it: another process goes on with it."""


def _empty(table: mmap.mmap) -> None:
    """Note that 8 bytes of a table are used, which say so."""
    table[:4] = (8).to_bytes(4, "little")


class AllWorkers(multiprocess.MultiProcessCollector):
    """Collects the sums over all workers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        found: Iterable[Metric] = self.merge(_tables.memory)  # type: ignore[no-untyped-call]
        return found


def share(workers: int) -> None:
    """Make the memory of so many workers and the supervisor, before any metric is made."""
    _tables.worker = workers
    _tables.memory = {
        f"{name}_{number}.db": mmap.mmap(-1, TABLE_BYTES + SPARE_BYTES)
        for name in TYPES
        for number in range(workers + 1)
    }
    for table in _tables.memory.values():
        _empty(table)
    os.environ[FOLDER] = ""
    for module in (values, multiprocess):
        module.MmapedDict = _Table  # type: ignore[attr-defined]
    values.ValueClass = values.MultiProcessValue(_tables.number)  # type: ignore[no-untyped-call]


def are_shared() -> bool:
    """Say whether there are several workers."""
    return bool(_tables.memory)


def be_worker(number: int) -> None:
    """Count for the worker of this number, from 0 on, in this process from now on."""
    _tables.worker = number


def forget(number: int) -> None:
    """Forget what ended with a worker, such as what waited in it; what it has counted stays."""
    for name, table in _tables.memory.items():
        if name.startswith("gauge_live") and name.endswith(f"_{number}.db"):
            _empty(table)
