"""A /dev/shm without room, and workers that die by the hundred: the service serves and leaves nothing."""

import base64
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.image_files import file, photo
from support.process_resources import shared_folder
from support.service_process import ROOT, ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured, forms

IMAGE = base64.b64encode(file(photo(20, 20))).decode()
WORKERS = 2
KINDS = {"of 64 KiB": "size=64k", "read-only": "ro", "filled later": "size=2m"}
"""What /dev/shm is, as it is mounted."""

FILLING: dict[str, list[str]] = {"of 64 KiB": [], "read-only": [], "filled later": ["filling"]}
"""What is in it in the end."""

MAX_SHARED_BYTES = 4096
LIVES = 50
"""One in so many workers lives until it serves."""


def mounting(own_mounts: tuple[str, ...], options: str) -> tuple[str, ...]:
    """Return the words that start the service with a /dev/shm of its own."""
    mount = f'mount -t tmpfs -o {options} tmpfs /dev/shm && cd {ROOT} && exec "$@"'
    return (*own_mounts, "sh", "-c", mount, "sh", sys.executable, "-m", "service")


def fill(folder: Path) -> None:
    with suppress(OSError), (folder / "filling").open("wb", buffering=0) as filling:
        while filling.write(bytes(4096)):
            pass


def encode(service: ServiceProcess, times: int) -> None:
    """Ask on connections of their own, which the workers share among them."""
    for _ in range(times):
        with service.client() as client:
            assert client.post("/encode", json={"images": [IMAGE]}).status_code == 200


def encoded(service: ServiceProcess) -> float:
    """Return how many requests all workers have counted."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(service.get("/metrics").text)
        for sample in family.samples
        if sample.name == "latent_requests_total" and sample.labels["route"] == "/encode"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_shared_memory_without_room_kills_no_worker(
    tmp_path: Path, start_service: StartService, own_mounts: tuple[str, ...], kind: str, measured: Measured
):
    write_tiny(tmp_path / "checkpoints", default_for=("encode",), reference=("a", "b"))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    service = start_service(
        workers=WORKERS,
        program=mounting(own_mounts, KINDS[kind]),
        drift_rows=10_000,
        variables={"TMPDIR": str(temporary)},
    )
    memory = Path(f"/proc/{service.process.pid}").joinpath("root", "dev", "shm")
    opened = os.open(memory, os.O_RDONLY)  # it is there as long as somebody has it open
    if kind == "filled later":
        fill(memory)
    workers = service.workers()
    encode(service, 40)
    wait_until(lambda: encoded(service) == 40, "all are counted")
    assert service.workers() == workers
    if kind == "filled later":
        assert 1 <= service.log().count(": No space left on device") <= WORKERS
    else:
        assert service.log().count("there is no room in /dev/shm") == 1
    os.kill(workers[0], signal.SIGKILL)
    wait_until(lambda: len(service.workers()) == WORKERS + 1, "it is replaced", 20)
    encode(service, 20)
    wait_until(lambda: encoded(service) == 60, "those of the dead worker are still counted")
    service.stop()
    assert service.wait() == 0
    assert [*os.listdir(opened), *temporary.iterdir()] == FILLING[kind]  # noqa: PTH208
    os.close(opened)
    measured(31, f"/dev/shm {kind}: 60 of 60 answered and counted, 0 workers lost, 0 files left")


def test_no_usable_temporary_folder_is_one_clear_line(own_mounts: tuple[str, ...]):
    folders = "/dev/shm /tmp /var/tmp /usr/tmp"
    script = (
        f"for folder in {folders}; do [ ! -d $folder ] || mount -t tmpfs -o ro tmpfs $folder; done; "
        'cd /sys && exec "$@"'
    )
    command = [*own_mounts, "sh", "-c", script, "sh", sys.executable, "-m", "service", "--port=0"]
    ended = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": "/tmp"},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "no folder for temporary files has room: /dev/shm (Read-only file system); TMPDIR names another\n"
    )


@forms("deaths", short=20, full=1000)
def test_dead_workers_leave_nothing(
    tmp_path: Path, start_service: StartService, deaths: int, measured: Measured
):
    write_tiny(tmp_path / "checkpoints", default_for=("encode",))
    service = start_service(workers=WORKERS)
    encode(service, 10)
    wait_until(lambda: encoded(service) == 10, "all are counted")
    pid = service.process.pid
    folder = shared_folder(pid)
    before = sorted(folder.rglob("*"))

    def children() -> list[int]:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    for death in range(deaths):
        worker = children()[0]
        if death % LIVES == 0:
            wait_until(lambda worker=worker: worker in service.workers(), "it serves", 20)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda worker=worker: worker not in children(), "it is dead")
        wait_until(lambda: len(children()) == WORKERS, "another takes its place")
    wait_until(lambda: all(child in service.workers() for child in children()), "they serve", 20)
    encode(service, 10)
    wait_until(lambda: encoded(service) == 20, "nothing that was counted is lost")
    assert sorted(folder.rglob("*")) == before
    assert sum(path.stat().st_size for path in before if path.is_file()) < MAX_SHARED_BYTES
    service.stop()
    assert service.wait() == 0
    assert not folder.exists()
    measured(31, f"{deaths:,} dead workers: all counts kept, 0 files more, 0 left in the end")
