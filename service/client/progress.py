"""A bar that shows how far a call of many requests is; needs the package rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Called with the number of images that are done since the last call."""


@contextmanager
def bar(title: str, total: int, *, shown: bool) -> Iterator[Advance]:
    """Show a bar of `total` images in the terminal while the block runs; without `shown` nothing happens.

    Raises:
        ImportError: the bar cannot be shown; says what to install.
    """
    if not shown:
        yield lambda _: None
        return
    try:
        from rich.console import Console  # noqa: PLC0415 - only who wants to see the bar needs it
        from rich.progress import Progress  # noqa: PLC0415
    except ImportError:
        raise ImportError("a progress bar needs rich: pip install 'latent-service[client]'") from None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda images: progress.advance(task, images)
