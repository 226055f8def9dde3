"""What the data alone scores: the figures beside those of a recipe that no recipe changes.

They take longer than the recipe's own, so they are computed once and kept under `runs/judges/`, by the data
and by all that computes them.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable

from pydantic import JsonValue

from training import fidelity, probes
from training.data import Dataset
from training.run import RUNS, replace

Row = dict[str, JsonValue]
Rows = dict[str, Row]


def reference(dataset: Dataset, name: str, judge: str, compute: Callable[[], Rows]) -> Rows:
    """Return the rows called `name` for this data set and this judge's hash, computed the first time."""
    parts = (
        dataset.sha256,
        f"{len(dataset.train)} {len(dataset.test)}",
        judge,
        *(inspect.getsource(source) for source in (fidelity, probes, sys.modules[compute.__module__])),
    )
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    path = RUNS / "judges" / f"{dataset.name}-{name}-{key[:12]}.json"
    if path.is_file():
        kept: Rows = json.loads(path.read_bytes())
        return kept
    rows = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, json.dumps(rows, indent=1).encode())
    return rows
