"""A folder whose every opened file is noticed by the kernel, whichever process and library opens it."""

import ctypes
import os
import struct
from pathlib import Path

IN_OPEN = 0x20
EVENT = struct.Struct("iIII")

_libc = ctypes.CDLL(None, use_errno=True)


class Watched:
    """Watches one folder (inotify), not what is below it."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK)
        assert self._descriptor >= 0
        assert _libc.inotify_add_watch(self._descriptor, os.fsencode(folder), IN_OPEN) >= 0

    def opened(self) -> list[str]:
        """Return the names of what was opened since the last call; the folder itself has none."""
        names = []
        try:
            events = os.read(self._descriptor, 1 << 20)
        except BlockingIOError:
            return []
        while events:
            _, _, _, length = EVENT.unpack_from(events)
            names.append(events[EVENT.size : EVENT.size + length].rstrip(b"\0").decode())
            events = events[EVENT.size + length :]
        return names

    def close(self) -> None:
        os.close(self._descriptor)
