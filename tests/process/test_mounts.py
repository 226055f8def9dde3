"""What platforms do: mount checkpoints in any layout, in folders that cannot be written; name a port."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.coloured_versions import DECODE, painted, write_version
from support.faulty_disks import unmount
from support.service_process import ServiceProcess, StartService, free_port, wait_until


def decode(service: ServiceProcess, model: str = "tiny") -> int:
    with service.client() as client:
        answer = client.post("/decode", json=DECODE | {"model": model})
    assert answer.status_code == 200, answer.text
    return painted(answer.json()["images"][0])


def lay_out(tmp_path: Path, layout: str) -> None:
    """Write versions 2 and 3 into `tmp_path / "checkpoints"`, or version 3 alone."""
    root = tmp_path / "checkpoints"
    for version in (2, 3):
        write_version(tmp_path, version)
    if layout != "names":
        brought = root / "tiny" if layout == "versions" else root / "tiny" / "3"
        shutil.move(brought, tmp_path / "brought")
        shutil.rmtree(root)
        (tmp_path / "brought").rename(root)


@pytest.mark.parametrize("layout", ["names", "versions", "checkpoint"])
def test_what_is_brought_in_any_layout_serves(tmp_path: Path, start_service: StartService, layout: str):
    lay_out(tmp_path, layout)
    service = start_service(keep_versions=2)
    assert decode(service) == 3
    if layout != "checkpoint":
        assert decode(service, "tiny@2") == 2


def test_versions_alone_come_and_go(tmp_path: Path, start_service: StartService):
    lay_out(tmp_path, "versions")
    service = start_service()
    root = tmp_path / "checkpoints"
    shutil.copytree(write_version(tmp_path / "elsewhere", 4), root / "4.whole")
    (root / "4.whole").rename(root / "4")
    wait_until(lambda: decode(service) == 4, "the new one serves")
    shutil.rmtree(root / "4")
    wait_until(lambda: decode(service) == 3, "the one below serves again")


def test_a_version_in_the_place_of_another_is_refused(tmp_path: Path, start_service: StartService):
    lay_out(tmp_path, "versions")
    root = tmp_path / "checkpoints"
    shutil.copytree(root / "2", root / "5")
    service = start_service()
    assert decode(service) == 3
    assert "version 5: checkpoint.json says tiny/2" in service.get("/models/tiny").json()["reason"]


def test_one_that_is_brought_broken_is_refused(tmp_path: Path, start_service: StartService):
    lay_out(tmp_path, "checkpoint")
    (tmp_path / "checkpoints" / "decode.onnx").write_bytes(b"broken")
    service = start_service()
    (found,) = service.get("/models").json()["models"]
    assert (found["name"], found["state"]) == ("tiny", "refused")
    assert "decode.onnx does not match" in found["reason"]
    assert service.get("/health/ready").status_code == 503


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """Checkpoints in which nothing can be written: for root, if it may mount, on a read-only mount."""
    lay_out(tmp_path, "names")
    root = tmp_path / "checkpoints"
    for folder in [root, *root.rglob("*")]:
        folder.chmod(0o555 if folder.is_dir() else 0o444)
    bind = ["mount", "--bind", str(root), str(root)]
    is_mounted = os.geteuid() == 0 and subprocess.run(bind, capture_output=True).returncode == 0
    if is_mounted:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(root)], check=True)
    yield root
    if is_mounted:
        unmount(root)
    for folder in [root, *root.rglob("*")]:
        folder.chmod(0o755)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_that_cannot_be_written_serves(unwritable: Path, start_service: StartService, workers: int):
    before = {path: path.stat().st_mtime_ns for path in [unwritable, *unwritable.rglob("*")]}
    (unwritable.parent / "key").write_text("admin-secret")
    service = start_service(workers=workers, admin_key_file=unwritable.parent / "key", drift_rows=10)
    with service.client(headers={"x-api-key": "admin-secret"}) as client:
        for verb, state in (("unload", "unloaded"), ("load", "serving")):
            answer = client.post(f"/admin/models/tiny/{verb}")
            assert (answer.status_code, answer.json()["state"]) == (200, state)
    assert decode(service) == 3
    assert {path: path.stat().st_mtime_ns for path in [unwritable, *unwritable.rglob("*")]} == before


def test_the_port_of_a_platform_is_listened_on(
    tmp_path: Path, start_service: StartService, monkeypatch: pytest.MonkeyPatch
):
    write_version(tmp_path, 3)
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    service = start_service(port=None)
    assert service.url == f"http://127.0.0.1:{port}"
    assert decode(service) == 3
