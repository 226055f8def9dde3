"""Checkpoints that cannot be read for a moment: they serve as soon as they can, and the log is not flooded.

The errors come from the audit hook of the service's processes, at the very call that opens or lists; the
lack of descriptors is real as well.
"""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, product
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.coloured_versions import DECODE, painted, write_version
from support.requirements import lacking
from support.service_process import ServiceProcess, StartService, wait_until
from tools.robustness_table import Measured

ERRORS = {
    "EACCES": "Permission denied",
    "EIO": "Input/output error",
    "ENOMEM": "Cannot allocate memory",
    "EMFILE": "Too many open files",
}
ADMIN = {"X-API-Key": "admin-secret"}
SCAN_EVERY_S = 0.5
SCANS = 2
FILES = ("", "checkpoint.json", "decode.onnx")
LOADS_WITHIN_S = 1.5
"""Time for a scan itself, on a machine that has other work."""

both = pytest.mark.parametrize("workers", [1, 2])


@contextmanager
def failing(tmp_path: Path, error: str, path: Path) -> Iterator[None]:
    """Let everything fail with an error whose path begins like this."""
    link = tmp_path / "fault"
    link.symlink_to(f"{error} {path}")
    yield
    link.unlink()


def start(tmp_path: Path, start_service: StartService, **settings: Any) -> ServiceProcess:
    (tmp_path / "admin").write_text("admin-secret\n")
    variables = {"AUDIT_FAULT": str(tmp_path / "fault")}
    return start_service(admin_key_file=tmp_path / "admin", variables=variables, **settings)


def shown(service: ServiceProcess) -> dict[str, Any]:
    found: dict[str, Any] = service.get("/models/tiny").json()
    return found


def load(service: ServiceProcess) -> dict[str, Any]:
    with service.client(headers=ADMIN) as client:
        answer = client.post("/admin/models/tiny/load")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def answering(service: ServiceProcess) -> int:
    """Return the version whose colour is painted."""
    with service.client() as client:
        return painted(client.post("/decode", json=DECODE).json()["images"][0])


@both
def test_a_version_serves_within_two_scans_once_it_can_be_read(
    tmp_path: Path, start_service: StartService, workers: int, measured: Measured
):
    write_version(tmp_path, 1)
    service = start(tmp_path, start_service, workers=workers, reload_interval_s=SCAN_EVERY_S)
    passed_s = []
    for number, (error, file) in enumerate(product(ERRORS, FILES), 2):
        with failing(tmp_path, error, tmp_path / "checkpoints" / "tiny" / str(number) / file):
            write_version(tmp_path, number)
            wait_until(lambda error=error: ERRORS[error] in (shown(service)["reason"] or ""), "it is refused")
            answer = load(service)
            assert (answer["state"], answer["version"]) == ("serving", number - 1)
            assert answer["reason"].endswith(f"cannot be read ({ERRORS[error]})")
            assert answering(service) == number - 1
        mended_s = time.monotonic()
        wait_until(lambda number=number: shown(service)["version"] == number, "the new version serves")
        passed_s.append(time.monotonic() - mended_s)
        assert answering(service) == number
        assert shown(service)["reason"] is None
    assert "Traceback" not in service.log()
    measured(
        35,
        f"{workers} worker(s), {len(passed_s)} faults: mended, the version serves within "
        f"{max(passed_s) / SCAN_EVERY_S:.1f} intervals",
    )
    assert max(passed_s) < SCANS * SCAN_EVERY_S + LOADS_WITHIN_S


@both
def test_an_order_to_load_tries_again_where_nobody_scans(
    tmp_path: Path, start_service: StartService, workers: int
):
    graph = write_version(tmp_path, 1) / "decode.onnx"
    with failing(tmp_path, "EIO", graph):
        service = start(tmp_path, start_service, workers=workers, reload_interval_s=0)
        answer = load(service)
        assert (answer["state"], answer["reason"]) == (
            "refused",
            "version 1: decode.onnx cannot be read (Input/output error)",
        )
    assert load(service)["state"] == "serving"
    assert answering(service) == 1


@pytest.mark.parametrize(("error", "folder"), [("EMFILE", ""), ("EIO", "tiny")])
def test_what_is_loaded_serves_on_while_its_folder_cannot_be_read(
    tmp_path: Path, start_service: StartService, error: str, folder: str
):
    write_version(tmp_path, 1)
    service = start(tmp_path, start_service, reload_interval_s=0.02)
    with failing(tmp_path, error, tmp_path / "checkpoints" / folder):
        write_version(tmp_path, 2)
        wait_until(lambda: f"cannot be read ({ERRORS[error]})" in service.log(), "a scan has failed")
        for _ in range(20):
            assert answering(service) == 1
    wait_until(lambda: answering(service) == 2, "the new version serves")
    assert service.log().count("cannot be read") == 1
    assert "Traceback" not in service.log()


def test_an_order_is_refused_while_nobody_can_say_what_there_is(tmp_path: Path, start_service: StartService):
    write_version(tmp_path, 1)
    service = start(tmp_path, start_service)
    with failing(tmp_path, "EMFILE", tmp_path / "checkpoints"), service.client(headers=ADMIN) as client:
        answer = client.post("/admin/models/tiny/load")
        assert (answer.status_code, answer.json()["code"]) == (503, "not-ready")
        assert "Too many open files" in answer.json()["detail"]


def test_a_folder_of_the_system_is_warned_of_once(tmp_path: Path, start_service: StartService):
    write_version(tmp_path, 1)
    (tmp_path / "checkpoints" / "lost+found").mkdir()
    with failing(tmp_path, "EACCES", tmp_path / "checkpoints" / "lost+found"):
        service = start(tmp_path, start_service, reload_interval_s=0.02)
        for version in range(2, 6):
            write_version(tmp_path, version)
            wait_until(lambda version=version: answering(service) == version, "it is scanned")
    assert service.log().count("lost+found") == 1
    assert [model["name"] for model in service.get("/models").json()["models"]] == ["tiny"]


@both
def test_without_descriptors_scans_are_one_line_each_worker(
    tmp_path: Path, start_service: StartService, workers: int
):
    if not hasattr(resource, "prlimit"):
        lacking("prlimit", "run this test on Linux")
    write_version(tmp_path, 1)
    service = start(tmp_path, start_service, workers=workers, reload_interval_s=0.02)
    with service.client() as client:
        assert version(client) == 1
        limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in service.workers()}
        for pid, (_, most) in limits.items():
            used = {int(link.name) for link in Path(f"/proc/{pid}/fd").iterdir()}
            free = next(number for number in count() if number not in used)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, most))
        write_version(tmp_path, 2)
        wait_until(lambda: service.log().count("cannot be read (Too many open files)") >= workers, "it fails")
        for _ in range(50):
            assert version(client) == 1
        for pid, before in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        wait_until(lambda: version(client) == 2, "the new version serves")
    assert "Traceback" not in service.log()


def version(client: httpx.Client) -> int:
    answer = client.post("/decode", json=DECODE)
    assert answer.status_code == 200, answer.text
    return painted(answer.json()["images"][0])
