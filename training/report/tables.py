"""Tables of runs: what was asked for, what was measured with its spread over seeds, targets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from training.data.domain_pairs import dataset_of
from training.report.planned_runs import PLANNED_RUNS, Target
from training.report.runs import Group, seed_of, settings
from training.runtime.progress import duration
from training.studies.findings import Cell, Table, cell
from training.tuning.objective import numbers_at

Path = tuple[str, ...]
"""Where a metric is among all: its key, after those of the groups that it is in."""
ABSENT = ""


def what_was_run(groups: list[Group]) -> Table:
    """Return what every run was asked, and how long it took."""
    return Table(
        title="What was run",
        note="Settings are those that differ from the recipe's defaults. Times are of training alone, on the "
        "device named, the mean over seeds; other work on the machine is not subtracted.",
        columns=("system", "recipe", "data", "settings", "seeds", "updates", "time", "device"),
        rows=tuple(_asked(group) for group in groups),
    )


def targets(groups: list[Group]) -> Table:
    """Return the targets of the family beside what was measured."""
    by_name = {group.name: group for group in groups}
    rows = []
    for member in PLANNED_RUNS:
        for target in member.targets:
            numbers = measured(target, member.name, by_name)
            bound = f"{target.bound} {target.value:g}"
            met = _met(target.met(sum(numbers) / len(numbers))) if numbers else "not measured"
            rows.append((member.name, _named(target), bound, spread(numbers), met))
    return Table(
        title="Targets",
        note="Set before training, on the test images; of several seeds the mean is judged, of several "
        "classes or directions the worst.",
        columns=("system", "metric", "target", "measured", ""),
        rows=tuple(rows),
    )


def measured(target: Target, name: str, groups: Mapping[str, Group]) -> list[float]:
    """Return what is to reach a target of the member called `name`, one number for every run of it."""
    if name not in groups or (target.over_member and target.over_member not in groups):
        return []
    found = []
    for run in groups[name].runs:
        numbers = numbers_at(run.metrics, target.metric.split("/"))
        if target.over or target.over_member:
            other = groups[target.over_member].first if target.over_member else run
            divisors = numbers_at(other.metrics, (target.over or target.metric).split("/"))
            numbers = [number / divisor for number, divisor in zip(numbers, divisors, strict=False)]
        if numbers:
            found.append(target.worst(numbers))
    return found


def _named(target: Target) -> str:
    """Return what a target asks of, in words."""
    name = words(target.metric.replace("*/", "").replace("/", ", "))
    if target.over:
        name += f" over {words(target.over.replace('*/', '').replace('/', ', '))}"
    return f"{name} over that of {target.over_member}" if target.over_member else name


def metric_tables(groups: list[Group]) -> list[Table]:
    """Return all metrics of the groups: single ones in one table, every group of them in its own."""
    single = list(dict.fromkeys(path for group in groups for path in _paths(group) if len(path) == 1))
    tables = []
    if single:
        rows = ((group.title, *(spread(of_runs(group, path)) for path in single)) for group in groups)
        columns = ("system", *(words(path[0]) for path in single))
        tables.append(Table(title="Metrics", note=SPREAD, columns=columns, rows=tuple(rows)))
    return [*tables, *_nested(groups)]


SPREAD = "On the test images, with the averaged weights. Of several seeds: mean ± standard deviation."


def spread(values: Sequence[JsonValue]) -> Cell:
    """Return one value as it is, several numbers as mean ± standard deviation (of a sample)."""
    if not values:
        return ABSENT
    if all(value == values[0] for value in values):
        return _shown(values[0])
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values):
        return ", ".join(cell(_shown(value)) for value in values)
    mean = sum(numbers) / len(numbers)
    deviation = math.sqrt(sum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1))
    return f"{mean:.4g} ± {deviation:.1g}"


def words(name: str) -> str:
    """Return a key of the metrics as words."""
    return name.replace("_", " ")


def _asked(group: Group) -> tuple[Cell, ...]:
    record, progress = group.first.record, group.first.progress
    dataset = dataset_of(group.first.data)
    seconds = [run.progress.seconds for run in group.runs]
    return (
        group.name,
        record.recipe,
        f"{dataset.name}{f' {record.pair}' if record.pair else ''}, {_size(group)}",
        settings(record),
        ", ".join(str(seed_of(run)) for run in group.runs),
        ", ".join(dict.fromkeys(_updates(run.progress.update, run.progress.total) for run in group.runs)),
        duration(sum(seconds) / len(seconds)),
        progress.device,
    )


def _size(group: Group) -> str:
    dataset = dataset_of(group.first.data)
    return f"{len(dataset.train):,} + {len(dataset.test):,} images"


def _updates(done: int, total: int) -> str:
    return f"{done:,}" if done == total else f"{done:,} of {total:,}: unfinished"


def _nested(groups: list[Group]) -> Iterator[Table]:
    """Return the metrics that are given by class, direction, level or the like, each kind in a table."""
    kinds: dict[Path, list[tuple[Group, Path]]] = {}
    for group in groups:
        for row in dict.fromkeys(path[:-1] for path in _paths(group) if len(path) > 1):
            kinds.setdefault(row[:-1], []).append((group, row))
    for kind, rows in kinds.items():
        columns = dict.fromkeys(path[-1] for group, row in rows for path in _paths(group) if path[:-1] == row)
        yield Table(
            title=" ".join(map(words, kind)).capitalize() or "By part",
            columns=("system", "of", *map(words, columns)),
            rows=tuple(
                (group.title, words(row[-1]), *(spread(of_runs(group, (*row, name))) for name in columns))
                for group, row in rows
            ),
        )


def _paths(group: Group) -> list[Path]:
    """Return where the metrics of a group are, nested keys as one path."""
    return list(dict.fromkeys(path for run in group.runs for path, _ in _leaves(run.metrics)))


def of_runs(group: Group, path: Path) -> list[JsonValue]:
    """Return the metric at `path` of every run that has it."""
    leaves = [dict(_leaves(run.metrics)) for run in group.runs]
    return [found[path] for found in leaves if path in found]


def _leaves(metrics: Mapping[str, JsonValue], above: Path = ()) -> Iterator[tuple[Path, JsonValue]]:
    for name, value in metrics.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _shown(value: JsonValue) -> Cell:
    if isinstance(value, bool) or value is None:
        return "yes" if value else "no" if value is False else ABSENT
    if isinstance(value, list):
        return ", ".join(cell(_shown(one)) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{words(name)} {cell(_shown(one))}" for name, one in value.items())
    return f"`{value[:16]}`" if isinstance(value, str) and len(value) == 64 else value


def _met(met: bool) -> str:
    return "met" if met else "missed"
