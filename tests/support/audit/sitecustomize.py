"""Imported by every service that the tests start: writes down what no service has any business doing.

`ServiceProcess` puts this folder on PYTHONPATH and names the file to write to, and the one address
that the service may connect to, if it has a collector. On SIGUSR2 a process writes down how many tasks its
event loop has and, with AUDIT_PACE, the longest processor time of its thread between two turns of a timer
since the last such signal. AUDIT_FAULT names a link to "EIO /some/path": while it is there, what is opened or
listed fails with that error if its path begins so.
"""

import asyncio
import errno
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

LOOPBACK = ("127.0.0.1", "::1", "localhost")
FORBIDDEN = (
    "ftplib.connect",
    "http.client.connect",
    "os.exec",
    "os.posix_spawn",
    "os.system",
    "pickle.find_class",
    "socket.connect",
    "socket.sendto",
    "subprocess.Popen",
    "urllib.Request",
)

_log = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
_all_files = "AUDIT_FILES" in os.environ
_collector = os.environ.get("AUDIT_COLLECTOR")
_fault = os.environ.get("AUDIT_FAULT")


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _fault and event in ("open", "os.listdir", "os.scandir"):
        _fail(_fault, str(arguments[0]))
    if _is_for_the_collector(event, arguments):
        return
    if event in FORBIDDEN or (event == "socket.getaddrinfo" and arguments[0] not in LOOPBACK):
        os.write(_log, f"forbidden {event} {arguments!r}\n".encode())
    elif _all_files and event in ("open", "os.listdir", "os.scandir"):
        os.write(_log, f"file {arguments[0]!s}\n".encode())


def _fail(link: str, path: str) -> None:
    try:
        name, _, prefix = str(Path(link).readlink()).partition(" ")
    except FileNotFoundError:
        return
    if path.startswith(prefix):
        number = getattr(errno, name)
        raise OSError(number, os.strerror(number), path)


def _is_for_the_collector(event: str, arguments: tuple[Any, ...]) -> bool:
    if _collector is None or event not in ("http.client.connect", "socket.connect"):
        return False
    host, port = arguments[1:3] if event == "http.client.connect" else arguments[1][:2]
    return f"{host}:{port}" == _collector


def _tell(_number: int, _frame: object) -> None:
    lines = f"tasks {os.getpid()} {len(asyncio.all_tasks())}\n"
    if "AUDIT_PACE" in os.environ:
        lines = f"pace {os.getpid()} {pace.longest_s}\n{lines}"
        pace.begin(asyncio.get_running_loop())
    os.write(_log, lines.encode())


class _Pace:
    """The processor time that the event loop's thread takes before it gets to a timer."""

    def __init__(self) -> None:
        self.longest_s = self.since_s = 0.0
        self.ticking = False

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.longest_s, self.since_s = 0.0, time.thread_time()
        if not self.ticking:
            self.ticking = True
            loop.call_later(PACE_S, self.tick, loop)

    def tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = time.thread_time()
        self.longest_s, self.since_s = max(self.longest_s, now_s - self.since_s), now_s
        loop.call_later(PACE_S, self.tick, loop)


PACE_S = 0.01
pace = _Pace()


signal.signal(signal.SIGUSR2, _tell)
sys.addaudithook(_note)
