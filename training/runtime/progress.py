"""What a person sees while training runs: a live line, and one line per epoch that stays."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

REFRESH_S = 0.5


class Progress:
    """Prints to `console`; without a terminal only the lines per epoch appear."""

    def __init__(self, console: Console, batch_size: int) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._batch_size = batch_size
        self._first: tuple[int, float] | None = None
        self._shown = 0.0

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def tick(self, update: int, total: int, epoch: int, losses: dict[str, float]) -> None:
        """Refresh the live line, at most every half second."""
        now = time.monotonic()
        if self._first is None:
            self._first = (update, now)
        if not self._console.is_terminal or now - self._shown < REFRESH_S:
            return
        self._shown = now
        rate = (update - self._first[0]) / max(now - self._first[1], 1e-9)
        left = duration((total - update) / rate) if rate else "..."
        line = f"epoch {epoch + 1}  update {update}/{total}  {described(losses)}"
        line += f"  {rate * self._batch_size:.0f} images/s  {left} left"
        self._live.update(Text(line), refresh=True)

    def epoch(self, row: dict[str, float]) -> None:
        """Print the line that stays."""
        losses = {name: value for name, value in row.items() if name not in ("epoch", "update", "seconds")}
        rate = row["update"] * self._batch_size / max(row["seconds"], 1e-9)
        self._console.print(
            f"epoch {row['epoch']:.0f}  {described(losses)}  {rate:.0f} images/s  "
            f"{duration(row['seconds'])} so far",
            highlight=False,
        )


def described(losses: dict[str, float]) -> str:
    """Return the losses as `name value` pairs."""
    return "  ".join(f"{name} {value:.4g}" for name, value in losses.items())


def duration(seconds: float) -> str:
    """Return `1h02m`, `3m05s` or `7s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
