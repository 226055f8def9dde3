"""Whether this process is on its way out.

`create_app` makes one `Drain` and keeps it as `app.state.drain`; the server begins it when it is told to
stop, `/health/ready` then answers 503 and the middleware closes connections behind their answers.
"""

from __future__ import annotations


class Drain:
    """A switch that goes from serving to draining, once."""

    def __init__(self) -> None:
        self._active = False

    @property
    def active(self) -> bool:
        """Say whether the process has been told to stop."""
        return self._active

    def begin(self) -> None:
        """Start draining: new work is still done, but callers are asked to go elsewhere."""
        self._active = True
