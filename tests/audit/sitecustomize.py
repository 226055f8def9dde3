"""Imported by every service that the tests start: writes down what no service has any business doing.

`process.ServiceProcess` puts this folder on PYTHONPATH and names the file to write to, and the one address
that the service may connect to, if it has a collector. On SIGUSR2 a process writes down how many tasks its
event loop has.
"""

import asyncio
import os
import signal
import sys
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


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _is_for_the_collector(event, arguments):
        return
    if event in FORBIDDEN or (event == "socket.getaddrinfo" and arguments[0] not in LOOPBACK):
        os.write(_log, f"forbidden {event} {arguments!r}\n".encode())
    elif _all_files and event in ("open", "os.listdir", "os.scandir"):
        os.write(_log, f"file {arguments[0]!s}\n".encode())


def _is_for_the_collector(event: str, arguments: tuple[Any, ...]) -> bool:
    if _collector is None or event not in ("http.client.connect", "socket.connect"):
        return False
    host, port = arguments[1:3] if event == "http.client.connect" else arguments[1][:2]
    return f"{host}:{port}" == _collector


def _tell(_number: int, _frame: object) -> None:
    os.write(_log, f"tasks {os.getpid()} {len(asyncio.all_tasks())}\n".encode())


signal.signal(signal.SIGUSR2, _tell)
sys.addaudithook(_note)
