"""How much memory, processor time, threads and open files a process has."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

SETTLE_S = 1.5
"""The service gives memory back a second after the last large request."""
MIB = 1 << 20


def resident_bytes(pid: int) -> int:
    return _status_kb(pid, "VmRSS") << 10


def peak_bytes(pid: int) -> int:
    """Return the most it had resident since `forget_peak`."""
    return _status_kb(pid, "VmHWM") << 10


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def settled_bytes(pids: Sequence[int]) -> list[int]:
    """Return what is resident of each process, the least of a while."""
    least = [resident_bytes(pid) for pid in pids]
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        time.sleep(0.05)
        least = [min(before, resident_bytes(pid)) for before, pid in zip(least, pids, strict=True)]
    return least


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the processor time that processes have used: what other work on the machine cannot lengthen."""
    clocks = [clock for pid in pids for clock in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(clock.read_text().split()[0]) for clock in clocks) / 1e9


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def shared_folder(pid: int) -> Path:
    """Return the folder of a service's shared files, which each of its processes has the lock in open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            if "/latent-service-" in str(target := link.readlink()):
                return target.parent
    raise AssertionError(f"process {pid} has no shared folder")


def _status_kb(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0])
