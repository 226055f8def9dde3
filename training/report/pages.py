"""A report as sections of text, tables and plots, and the two files it becomes: HTML and Markdown.

Text is plain but for `code` between backticks. The HTML file holds its plots itself; the Markdown file
links to PNG files in a folder beside it.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.report.style import STYLE
from training.run import replace
from training.study import Findings, Plot, Table, cell, rows

PLOTS = "plots"
SHRUNK_WIDTH = 760
"""Pictures of more pixels across are not made smaller than the style's least width for them."""
LINKED = re.compile(rf"\]\(({PLOTS}/[a-z0-9-]+\.png)\)")


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it."""

    title: str
    text: tuple[str, ...] = ()
    """Paragraphs."""
    parts: tuple[Table | Plot, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Placed:
    """A section with its depth (1 is the report itself) and its anchor."""

    section: Section
    depth: int
    anchor: str


def of_findings(findings: Findings) -> Section:
    """Return what a study found as a section."""
    return Section(findings.title, (findings.question,), findings.parts)


def write(report: Section, folder: Path) -> Path:
    """Write `report.html`, and `report.md` with its plots; return the HTML file.

    Plots of an earlier report that are in this one no more are removed, and no other file.
    """
    (folder / PLOTS).mkdir(parents=True, exist_ok=True)
    text, plots = markdown(report)
    page = folder / "report.md"
    old = set(LINKED.findall(page.read_text())) if page.is_file() else set()
    for name, data in plots.items():
        replace(folder / name, data)
    replace(page, text.encode())
    for name in old - set(plots):
        (folder / name).unlink(missing_ok=True)
    target = folder / "report.html"
    replace(target, page_html(report).encode())
    return target


def markdown(report: Section) -> tuple[str, dict[str, bytes]]:
    """Return the report as Markdown, and its plots by the path it links to."""
    placed = list(place(report))
    lines: list[str] = []
    plots: dict[str, bytes] = {}
    for one in placed:
        lines += [f"{'#' * one.depth} {_literal(one.section.title)}", ""]
        for paragraph in one.section.text:
            lines += [_literal(paragraph), ""]
        for part in one.section.parts:
            lines += [f"**{_literal(part.title)}**", ""]
            if isinstance(part, Table):
                lines += [*rows(_escaped(part)), ""]
            else:
                path = _plot_path(one.anchor, part.title, plots)
                plots[path] = part.png
                lines += [f"![{_literal(part.title)}]({path})", ""]
            lines += [_literal(part.note), ""] if part.note else []
        if one.depth == 1:
            listed = [other for other in placed if other.depth in (2, 3)]
            lines += [f"{'  ' * (other.depth - 2)}- {_link(other)}" for other in listed] + [""]
    return "\n".join(lines), plots


def page_html(report: Section) -> str:
    """Return the report as one HTML file that needs no other."""
    placed = list(place(report))
    contents = "".join(
        f'<a class="depth-{one.depth}" href="#{one.anchor}">{html.escape(one.section.title)}</a>\n'
        for one in placed
        if one.depth in (2, 3)
    )
    body = "".join(_section_html(one) for one in placed)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<nav aria-label="Contents">\n{contents}</nav>\n<main>\n{body}</main>\n</body>\n</html>\n'
    )


def place(report: Section) -> Iterator[Placed]:
    """Return the section and all below it in reading order, with the anchors GitHub gives to headings."""
    seen: Counter[str] = Counter()

    def walk(section: Section, depth: int) -> Iterator[Placed]:
        plain = "".join(sign for sign in section.title.lower() if _stays(sign)).replace(" ", "-")
        anchor = f"{plain}-{seen[plain]}" if seen[plain] else plain
        seen[plain] += 1
        yield Placed(section, depth, anchor)
        for part in section.sections:
            yield from walk(part, depth + 1)

    return walk(report, 1)


def _stays(sign: str) -> bool:
    """Return whether GitHub keeps a sign of a heading in its anchor: letters, digits, hyphens and spaces."""
    return sign in "- " or unicodedata.category(sign) in ("Nd", "Pc") or unicodedata.category(sign)[0] in "LM"


def _section_html(one: Placed) -> str:
    pieces = [f'<h{one.depth} id="{one.anchor}">{html.escape(one.section.title)}</h{one.depth}>\n']
    pieces += [f"<p>{_inline(paragraph)}</p>\n" for paragraph in one.section.text]
    for part in one.section.parts:
        shown = _table_html(part) if isinstance(part, Table) else _image_html(part)
        note = f'<p class="note">{_inline(part.note)}</p>\n' if part.note else ""
        pieces.append(f"<figure>\n<figcaption>{_inline(part.title)}</figcaption>\n{shown}{note}</figure>\n")
    return "".join(pieces)


def _table_html(table: Table) -> str:
    head = "".join(f"<th>{_inline(name)}</th>" for name in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td{_kind(value)}>{_inline(cell(value))}</td>" for value in row) + "</tr>\n"
        for row in table.rows
    )
    return (
        f'<div class="wide" tabindex="0"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n'
        "</table></div>\n"
    )


def _kind(value: str | float) -> str:
    return "" if isinstance(value, str) else ' class="number"'


def _image_html(plot: Plot) -> str:
    """Return the picture; a wide one is not shrunk to a phone but scrolled."""
    data = base64.b64encode(plot.png).decode()
    width, height = (int.from_bytes(plot.png[at : at + 4], "big") for at in (16, 20))
    image = (
        f'<img alt="{html.escape(plot.title)}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{data}">\n'
    )
    return f'<div class="scrolled" tabindex="0">{image}</div>\n' if width > SHRUNK_WIDTH else image


def _inline(text: str) -> str:
    """Return text as HTML, `code` marked as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _literal(text: str) -> str:
    """Return text so that Markdown shows it as it is, `code` apart."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(
        piece if index % 2 else re.sub(r"([\\*_\[\]<|~])", r"\\\1", piece)
        for index, piece in enumerate(pieces)
    )


def _escaped(table: Table) -> Table:
    """Return the table with its cells as Markdown shows them; a bar inside code needs its escape too."""

    def shown(text: str) -> str:
        return re.sub(r"`[^`]+`", lambda code: code[0].replace("|", r"\|"), _literal(text))

    return table.model_copy(
        update={
            "columns": tuple(map(shown, table.columns)),
            "rows": tuple(tuple(shown(cell(value)) for value in row) for row in table.rows),
        }
    )


def _plot_path(anchor: str, title: str, taken: dict[str, bytes]) -> str:
    """Return a file name made of the section's and the plot's words."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{anchor} {title}".lower()).strip("-")[:80].strip("-")
    count = sum(re.fullmatch(rf"{PLOTS}/{words}(-\d+)?\.png", path) is not None for path in taken)
    return f"{PLOTS}/{words}{f'-{count + 1}' if count else ''}.png"


def _link(one: Placed) -> str:
    return f"[{_literal(one.section.title)}](#{one.anchor})"
