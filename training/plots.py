"""The style of every plot; a drawn figure becomes the bytes of a PNG file."""

from __future__ import annotations

import io

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DOTS_PER_INCH = 110
STYLE = {
    "font.size": 9.0,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}
CLASS_COLOURS = "tab10"
"""Matplotlib's name of the ten colours that classes have everywhere."""


def panels(
    count: int, columns: int = 2, width: float = 4.2, height: float = 3.0
) -> tuple[Figure, list[Axes]]:
    """Return a figure and `count` axes in rows of at most `columns`; sizes of one panel in inches."""
    columns = min(columns, count)
    rows = -(-count // columns)
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
        axes = [figure.add_subplot(rows, columns, index + 1) for index in range(count)]
    return figure, axes


def png(figure: Figure) -> bytes:
    file = io.BytesIO()
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return file.getvalue()
