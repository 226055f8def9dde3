"""The folder of files that all processes of one service use."""

import tempfile
from pathlib import Path

import pytest

from service.coordination import shared_folder as module
from service.coordination.shared_folder import NoRoom, shared_folder


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is taken for /dev/shm."""
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(module, "SHARED_MEMORY", str(tmp_path / "shm"))
    return tmp_path / "shm"


def temporary(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Take a folder for the system's temporary one."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


def test_it_is_gone_in_the_end(memory: Path):
    with shared_folder() as folder:
        assert folder.parent == memory
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "drift" / "file").touch()
    assert list(memory.iterdir()) == []


def test_what_a_killed_service_left_is_removed_and_what_is_in_use_is_not(memory: Path):
    left = memory / "latent-service-killed"
    left.mkdir()
    (left / "lock").touch()
    with shared_folder() as first, shared_folder() as second:
        assert set(memory.iterdir()) == {first, second}


def test_what_another_program_made_is_left_alone(memory: Path):
    (memory / "latent-service-else").mkdir()
    (memory / "other").touch()
    with shared_folder():
        pass
    assert {path.name for path in memory.iterdir()} == {"latent-service-else", "other"}


def test_without_room_in_memory_it_is_elsewhere_and_that_is_logged_once(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    memory.rmdir()
    memory.symlink_to("/sys/kernel")  # a folder in which nobody can make one
    (tmp_path / "tmp").mkdir()
    temporary(monkeypatch, tmp_path / "tmp")
    with shared_folder() as folder:
        assert folder.parent == tmp_path / "tmp"
    (line,) = caplog.messages
    assert "no room in" in line
    assert list((tmp_path / "tmp").iterdir()) == []


def test_without_any_place_that_is_one_line(tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch):
    memory.rmdir()
    temporary(monkeypatch, tmp_path / "missing")
    with (
        pytest.raises(NoRoom, match=r"^no folder for temporary files has room: .*missing.* TMPDIR .*$"),
        shared_folder(),
    ):
        pass
