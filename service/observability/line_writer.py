"""Lines for a descriptor that may be slow, full, broken or closed: whoever writes them never waits.

logs -> LineWriter -> a thread -> standard error;  worker -> LineWriter -> standard output
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import TextIO

MAX_LINES = 1000
"""Lines that may wait; what comes on top is lost."""

CLOSE_S = 1.0
"""Most time for what waits to be written at the end."""


class LineWriter:
    """Writes lines in a thread, which starts with the first one.

    It belongs to one process: after a fork the child makes its own. The thread takes no lock that a fork
    could leave held, so it writes to the descriptor and not to the stream.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """Write to what is under a stream, None if it is closed."""
        self._descriptor = -1 if stream is None else stream.fileno()
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="lines", daemon=True)
        self._refused = self._failed = 0  # counted by one thread each

    @property
    def lost(self) -> int:
        """Return how many lines could not be written so far."""
        return self._refused + self._failed

    def write(self, line: str) -> None:
        """Write a line soon; it is lost if too many wait. Calls come one at a time."""
        if self._lines.qsize() >= MAX_LINES:
            self._refused += 1
            return
        self._lines.put(f"{line}\n")
        if self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """Give what waits a moment to be written."""
        self._lines.put(None)
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            data = line.encode(errors="backslashreplace")
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                self._failed += 1
