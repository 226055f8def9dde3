"""A server under test: started, waited for, measured from outside, and ended with all its processes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.serving.bodies import bodies
from benchmarks.serving.work import FOLDER

START_LIMIT_S = 90.0
STOP_LIMIT_S = 10.0


class CannotRun(Exception):
    """The benchmark would measure something else; the message says what is in the way."""


@dataclass(frozen=True)
class Configuration:
    """One server: how it is started, and how the same work is put to it."""

    name: str
    command: tuple[str, ...]
    """With `{port}` where the port goes."""
    port: int
    about: str
    """Its settings, for the reader of the table."""
    environment: tuple[tuple[str, str], ...] = ()
    dialect: str = "plain"
    """The shape of its request bodies, a key of `bodies.DIALECTS`."""


class Server:
    """A running server; use it as a context."""

    def __init__(self, configuration: Configuration) -> None:
        """Start it and wait for its first answer to /encode.

        Raises:
            CannotRun: its port is taken, or it does not answer in time.
        """
        self.configuration = configuration
        self.url = f"http://127.0.0.1:{configuration.port}"
        _check_port(configuration.port)
        log = FOLDER / "logs" / f"{configuration.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [part.format(port=configuration.port) for part in configuration.command]
        environment = {
            **os.environ,
            "BENCH_FOLDER": str(FOLDER.absolute()),
            "PORT": str(configuration.port),
            "PYTHONPATH": str(Path.cwd()),
            "OMP_NUM_THREADS": "1",
            "DO_NOT_TRACK": "1",
            "BENTOML_DO_NOT_TRACK": "True",
            "RAY_USAGE_STATS_ENABLED": "0",
            **dict(configuration.environment),
        }
        started = time.perf_counter()
        with log.open("wb") as file:
            self._process = subprocess.Popen(  # noqa: S603
                command, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        self._wait(started, log)
        self.first_answer_s = time.perf_counter() - started

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and every process it began."""
        family = self._family()
        self._process.terminate()
        _, alive = psutil.wait_procs(family, timeout=STOP_LIMIT_S)
        for process in alive:
            process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Return the processor seconds that it has used so far, all processes together."""
        return sum(sum(process.cpu_times()[:2]) for process in self._family())

    def pss_mib(self) -> float:
        """Return its memory, pages shared between processes counted once."""
        return sum(process.memory_full_info().pss for process in self._family()) / 2**20

    def post(self, path: str, body: bytes, kind: str = "application/json") -> bytes:
        """Return the answer to one request."""
        request = urllib.request.Request(  # noqa: S310 - our own
            f"{self.url}{path}", body, {"Content-Type": kind}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return bytes(answer.read())

    def _family(self) -> list[psutil.Process]:
        try:
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _wait(self, started: float, log: Path) -> None:
        body = bodies(self.configuration.dialect, "encode")[0].encode()
        while True:
            try:
                self.post("/encode", body)
                return
            except OSError:
                ended = self._process.poll() is not None
                if ended or time.perf_counter() - started > START_LIMIT_S:
                    self.stop()
                    raise CannotRun(f"{self.configuration.name} does not answer; see {log}") from None
                time.sleep(0.02)


def check_program(name: str) -> None:
    """Raise CannotRun where a program is missing."""
    if shutil.which(name) is None:
        raise CannotRun(f"there is no {name} here: apt-get install {name}")


def check_idle() -> None:
    """Raise CannotRun where anything else is using the processor."""
    busy = psutil.cpu_percent(interval=2)
    if busy > 10:
        raise CannotRun(
            f"the machine is busy ({busy:.0f}% of the processor): what would be measured is noise"
        )


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise CannotRun(f"port {port} is taken")
