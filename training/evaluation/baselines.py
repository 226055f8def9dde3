"""What the data alone scores: the metrics beside those of a recipe that no recipe changes.

They take longer than the recipe's own, so they are computed once and kept (see cache.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pydantic import JsonValue

from training.data.datasets import Dataset
from training.evaluation.cache import cached, data_key, data_path, versions

Row = dict[str, JsonValue]
Rows = dict[str, Row]


def reference(dataset: Dataset, name: str, compute: Callable[[], Rows], **inputs: str | int) -> Rows:
    """Return the rows called `name` for this data set and these further inputs, computed the first time."""
    key = versions("metrics") | data_key(dataset) | inputs
    rows = cached(data_path(dataset, f"{name}.json"), key, lambda: cast(JsonValue, compute()))
    return cast(Rows, rows)
