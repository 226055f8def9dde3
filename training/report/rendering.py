"""A report as sections of text, tables and plots, and the two files it becomes.

    Section -> report.md and plots/*.png -> report.html

Text is plain but for `code` between backticks. The Markdown file links to its plots; the HTML file is made
from it by markdown-it-py and holds them itself.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from training.report.style import PAGE, STYLE
from training.runtime.run_folder import replace
from training.studies.findings import Findings, Plot, Table, cell, rows

PLOTS = "plots"
SHRUNK_WIDTH = 760
"""Plots of more pixels across are not made smaller than the style's least width for them."""
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
    placed = list(place(report))
    text, plots = markdown(placed)
    page = folder / "report.md"
    old = set(LINKED.findall(page.read_text())) if page.is_file() else set()
    for name, data in plots.items():
        replace(folder / name, data)
    replace(page, text.encode())
    for name in old - set(plots):
        (folder / name).unlink(missing_ok=True)
    target = folder / "report.html"
    replace(target, page_html(placed, text, plots).encode())
    return target


def markdown(placed: Sequence[Placed]) -> tuple[str, dict[str, bytes]]:
    """Return the report as Markdown, and its plots by the path it links to."""
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
            lines += [_contents(placed), ""]
    return "\n".join(lines), plots


def page_html(placed: Sequence[Placed], text: str, plots: Mapping[str, bytes]) -> str:
    """Return the report's Markdown as one HTML file that needs no other, its contents beside it."""
    contents = _contents(placed)
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=PageRenderer).enable("table")
    body = parser.render(
        text.replace(contents, "", 1), {"plots": plots, "anchors": iter(one.anchor for one in placed)}
    )
    title = html.escape(placed[0].section.title)
    return PAGE.format(title=title, style=STYLE, contents=parser.render(contents), body=body)


class PageRenderer(RendererHTML):
    """Gives headings their anchors, holds plots in the page, and lets what is wide scroll."""

    def heading_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        """Return the start of the next heading."""
        tokens[at].attrSet("id", next(env["anchors"]))
        return self.renderToken(tokens, at, options, env)

    def table_open(self, *_: object) -> str:
        """Return the start of a table, in a box that keys can scroll."""
        return '<div class="table" tabindex="0"><table>\n'

    def table_close(self, *_: object) -> str:
        """Return the end of it."""
        return "</table></div>\n"

    def image(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        """Return an image with its file in it; a wide one is not shrunk to a phone but scrolled."""
        png = env["plots"][tokens[at].attrs["src"]]
        width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
        tokens[at].attrs |= {
            "src": f"data:image/png;base64,{base64.b64encode(png).decode()}",
            "width": width,
            "height": height,
        }
        shown = super().image(tokens, at, options, env)
        return f'<span class="wide" tabindex="0">{shown}</span>' if width > SHRUNK_WIDTH else shown


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


def _literal(text: str) -> str:
    """Return text so that Markdown shows it as it is, `code` apart."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(
        piece if index % 2 else re.sub(r"[\\*_\[\]<|~]|&(?=#?\w+;)", r"\\\g<0>", piece)
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


def _contents(placed: Sequence[Placed]) -> str:
    """Return a list of links to the sections and those in them."""
    listed = [one for one in placed if one.depth in (2, 3)]
    lines = [f"{'  ' * (one.depth - 2)}- [{_literal(one.section.title)}](#{one.anchor})" for one in listed]
    return "\n".join(lines)
