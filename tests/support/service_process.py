"""A real `python -m service` process, for tests that talk to it over HTTP.

Whatever a test does with it, it must not connect anywhere, start a program, unpickle or leave anything in the
home folder: its end checks that.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
AUDIT = ROOT / "tests" / "support" / "audit"
START_LIMIT_S = 20.0
STOP_LIMIT_S = 20.0


def shipped(name: str) -> Path:
    """Return the folder of the newest version of a checkpoint in the repository."""
    return max((ROOT / "checkpoints" / name).iterdir(), key=lambda folder: int(folder.name))


def wait_until(condition: Callable[[], object], what: str, limit_s: float = 10) -> None:
    """Return as soon as the condition holds; fail if it does not in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.01)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that ended and was not buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def run_service(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run one that is to end by itself; `environment` is added to this process's."""
    command = [sys.executable, "-m", "service", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


class ServiceProcess:
    """Starts the service on a free port, waits until all of its workers serve, and stops it in the end."""

    def __init__(
        self,
        checkpoints: Path,
        log: Path,
        workers: int = 1,
        *,
        program: Sequence[str] = (sys.executable, "-m", "service"),
        audit_files: bool = False,
        collector: str | None = None,
        variables: Mapping[str, str] = {},
        **settings: Any,
    ) -> None:
        """Start with these settings, of which None is left out; `log` receives what it prints.

        Where `program` is not that of the clone, it runs in the folder of `log`, from where no clone is seen.
        With `audit_files` it also notes every file that Python opens and every folder it lists. `collector`
        is an address, 127.0.0.1:4318, that gets its traces; `variables` are what else is in its environment.
        """
        settings = {"port": 0, "drain_delay_s": 0.2, "reload_interval_s": 0.1, **settings}
        flags = [
            f"--{name.replace('_', '-')}={value}" for name, value in settings.items() if value is not None
        ]
        command = [
            *program,
            f"--checkpoints={checkpoints}",
            f"--workers={workers}",
            *flags,
        ]
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LATENT_", "OTEL_")) or name == "LATENT_DEVICE"
        }
        self._log = log
        self._audit = log.with_suffix(".audit")
        self._home = log.with_suffix(".home")
        self._home.mkdir()
        environment.pop("XDG_CACHE_HOME", None)
        environment["CUDA_CACHE_DISABLE"] = "1"  # else the driver would leave files in HOME
        environment |= {"AUDIT_LOG": str(self._audit), "PYTHONPATH": str(AUDIT), "HOME": str(self._home)}
        if audit_files:
            environment["AUDIT_FILES"] = "yes"
        if collector:
            environment |= {
                "AUDIT_COLLECTOR": collector,
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector}",
            }
        environment |= variables
        self._workers = workers
        folder = ROOT if program[0] == sys.executable else log.parent
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)

    def __enter__(self) -> "ServiceProcess":
        try:
            wait_until(self._serves, "it serves", START_LIMIT_S)
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it does not serve:\n{self.log()}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self._audited("forbidden") == []
        assert list(self._home.rglob("*")) == []

    def _serves(self) -> bool:
        assert self.process.poll() is None, self.log()
        return (
            bool(re.search(r"^http://\S+ serves", self.log(), re.M)) and len(self.workers()) >= self._workers
        )

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        found = re.search(r"^(http://\S+) serves", self.log(), re.M)
        assert found, self.log()
        return found[1]

    def log(self) -> str:
        """Return everything it has printed so far."""
        return self._log.read_text()

    def files(self) -> list[Path]:
        """Return what was opened or listed so far, with `audit_files`."""
        return [Path(path) for path in self._audited("file")]

    def tasks(self, pid: int) -> int:
        """Return how many tasks the event loop of one of its processes has."""
        told = len(self._audited(f"tasks {pid}"))
        os.kill(pid, signal.SIGUSR2)
        wait_until(lambda: len(self._audited(f"tasks {pid}")) > told, "it tells")
        return int(self._audited(f"tasks {pid}")[-1])

    def pace_s(self) -> float:
        """Return the longest that an event loop kept others waiting since the last call, with AUDIT_PACE set.

        It is processor time of its thread: what other work on the machine cannot lengthen.
        """
        longest = []
        for pid in self.workers():
            self.tasks(pid)
            longest.append(float(self._audited(f"pace {pid}")[-1]))
        return max(longest)

    def _audited(self, kind: str) -> list[str]:
        lines = self._audit.read_text().splitlines()
        return [line.removeprefix(f"{kind} ") for line in lines if line.startswith(f"{kind} ")]

    def workers(self) -> list[int]:
        """Return the process ids of those that have begun to serve, first one first."""
        named = r'(\d+)(?: |,"logger":")service.repository.repository(?: |","message":")'
        lines = re.findall(f"{named}(?:serving|no checkpoints)", self.log())
        return list(dict.fromkeys(map(int, lines)))

    def client(self, **options: Any) -> httpx.Client:
        """Return a client for it, quickly: there are no certificates to read for plain HTTP."""
        return httpx.Client(base_url=self.url, timeout=20, verify=False, **options)

    def get(self, path: str) -> httpx.Response:
        """Ask once, on a connection of its own, which any of the workers may take."""
        with self.client() as client:
            return client.get(path)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(STOP_LIMIT_S)


StartService = Callable[..., ServiceProcess]
