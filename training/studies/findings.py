"""What a study finds: tables and plots, saved under `runs/studies/<name>/` for the report.

A study is a claim of the course put to numbers: small, seeded, and run by `python -m training study <name>`.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, PlainSerializer, PlainValidator

from training.runtime.run_folder import RUNS, replace

STUDY_RUNS = RUNS / "studies"
NUMBER = re.compile(r"(-?\d[\d,.e+-]*( ± [\d.e+-]+)?)?")
"""A number as a cell shows it, with or without its spread; or none."""

Cell = str | int | FiniteFloat
Png = Annotated[
    bytes,
    PlainValidator(lambda value: value if isinstance(value, bytes) else base64.b64decode(value)),
    PlainSerializer(lambda value: base64.b64encode(value).decode()),
]


class Part(BaseModel):
    """A table or a plot, with what is to be seen in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    note: str = ""
    """One or two sentences; any number in them is computed, not typed."""


class Table(Part):
    """Rows of cells under named columns."""

    kind: Literal["table"] = "table"
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Plot(Part):
    """A plot, as the bytes of a PNG file."""

    kind: Literal["plot"] = "plot"
    png: Png


class Findings(BaseModel):
    """All that one study found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    question: str
    """What the course claims or asks."""
    parts: tuple[Table | Plot, ...]


def save(findings: Findings, name: str) -> Path:
    """Write the findings of the study `name` and return the file."""
    path = STUDY_RUNS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, findings.model_dump_json(indent=1).encode())
    return path


def load(name: str) -> Findings | None:
    """Return the saved findings of the study `name`, None where it was not run yet."""
    path = STUDY_RUNS / f"{name}.json"
    return Findings.model_validate_json(path.read_bytes()) if path.is_file() else None


def markdown(findings: Findings) -> list[str]:
    """Return the lines of the findings as Markdown, without the plots."""
    lines = [f"## {findings.title}", "", findings.question]
    for part in findings.parts:
        lines += ["", f"### {part.title}", ""]
        if isinstance(part, Table):
            lines += [*rows(part), ""]
        lines += [part.note] if part.note else []
    return lines


def rows(table: Table) -> list[str]:
    """Return a table as lines of Markdown, columns of numbers at the right."""
    shown = [[cell(value) for value in row] for row in table.rows]
    columns = zip(*shown, strict=True) if shown else [()] * len(table.columns)
    rule = ["---:" if all(map(NUMBER.fullmatch, column)) and any(column) else "---" for column in columns]
    return [f"| {' | '.join(row)} |" for row in (table.columns, rule, *shown)]


def cell(value: Cell) -> str:
    """Return a cell as text: four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
