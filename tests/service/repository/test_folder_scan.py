"""The folder of checkpoints: which versions are loaded, and why others are not."""

import logging
import shutil
from pathlib import Path

import pytest

from service.checkpoint import CheckpointError
from service.inference.model import Model
from service.repository.folder_scan import Entry, Folder, Wanted
from support.loaded_models import load_folder
from support.tiny_checkpoints import write_tiny


class Loads:
    """Loads checkpoints as the service does, and notes which."""

    def __init__(self) -> None:
        self.tried: list[tuple[str, int]] = []

    def __call__(self, folder: Path, place: tuple[str, int]) -> Model:
        self.tried.append(place)
        return load_folder(folder, place=place)

    def taken(self) -> list[tuple[str, int]]:
        """Return what was tried since the last time."""
        tried, self.tried = self.tried, []
        return tried


@pytest.fixture
def loads() -> Loads:
    return Loads()


def scan(folder: Folder, known: dict[str, Entry] | None = None, **wanted: int) -> dict[str, Entry]:
    known = known or {}
    return folder.scan(known, known, Wanted(highest=wanted))


def versions(entries: dict[str, Entry]) -> dict[str, list[int]]:
    return {name: list(entry.loaded) for name, entry in entries.items()}


def spoil(folder: Path) -> None:
    (folder / "decode.onnx").write_bytes(b"spoilt")


def test_the_highest_versions_are_loaded_as_many_as_are_kept(tmp_path: Path, loads: Loads):
    for version in (1, 2, 10):
        write_tiny(tmp_path, "a", version, operations=("decode",))
    write_tiny(tmp_path, "b", operations=("decode",))
    found = scan(Folder(tmp_path, 2, loads))
    assert versions(found) == {"a": [10, 2], "b": [1]}
    assert (found["a"].versions, found["a"].model) == ((10, 2, 1), found["a"].loaded[10].model)


def test_what_has_not_changed_is_not_loaded_again(tmp_path: Path, loads: Loads):
    folder = Folder(tmp_path, 1, loads)
    write_tiny(tmp_path, "a", operations=("decode",))
    known = scan(folder)
    assert loads.taken() == [("a", 1)]
    again = scan(folder, known)
    assert (loads.taken(), again["a"].model) == ([], known["a"].model)
    write_tiny(tmp_path, "a", 2, operations=("decode",))
    assert versions(scan(folder, again)) == {"a": [2]}
    assert loads.taken() == [("a", 2)]


def test_a_spoilt_version_is_refused_once_and_the_next_serves(
    tmp_path: Path, loads: Loads, caplog: pytest.LogCaptureFixture
):
    folder = Folder(tmp_path, 1, loads)
    write_tiny(tmp_path, "a", 1, operations=("decode",))
    spoil(write_tiny(tmp_path, "a", 2, operations=("decode",)))
    with caplog.at_level(logging.WARNING):
        found = scan(folder)
    assert versions(found) == {"a": [1]}
    assert (found["a"].reason or "").startswith("version 2: ")
    assert "refused a/2: " in caplog.text
    loads.taken()
    found = scan(folder, found)
    assert loads.taken() == []
    shutil.rmtree(tmp_path / "a" / "2")
    write_tiny(tmp_path, "a", 2, operations=("decode",))
    assert versions(scan(folder, found)) == {"a": [2]}


def test_what_is_loaded_is_given_up_only_for_something_that_works(tmp_path: Path, loads: Loads):
    folder = Folder(tmp_path, 1, loads)
    path = write_tiny(tmp_path, "a", operations=("decode",))
    known = scan(folder)
    spoil(path)
    found = scan(folder, known)
    assert found["a"].model is known["a"].model
    assert found["a"].reason
    assert versions(scan(folder)) == {"a": []}


def test_what_a_parser_breaks_on_is_refused_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    def fail(folder: Path, place: tuple[str, int]) -> Model:
        raise RuntimeError("secret") if place[0] == "b" else CheckpointError("a rule")

    write_tiny(tmp_path, "a", operations=("decode",))
    write_tiny(tmp_path, "b", operations=("decode",))
    found = scan(Folder(tmp_path, 1, fail))
    assert {name: entry.reason for name, entry in found.items()} == {
        "a": "version 1: a rule",
        "b": "version 1: it cannot be loaded",
    }
    assert "loading b/1 failed" in caplog.text


def test_no_version_above_the_highest_that_is_wanted_serves(tmp_path: Path, loads: Loads):
    folder = Folder(tmp_path, 1, loads)
    for version in (1, 2):
        write_tiny(tmp_path, "a", version, operations=("decode",))
    assert versions(scan(folder, a=1)) == {"a": [1]}
    none = scan(folder, a=0)["a"]
    assert (list(none.loaded), none.reason) == ([], "version 2: no version above 0 is to serve")


def test_names_that_no_checkpoint_has_are_refused_or_passed_over(tmp_path: Path, loads: Loads):
    made = write_tiny(tmp_path, "a", operations=("decode",)).parent
    for name in ("UPPER", ".hidden", "new\nline"):
        shutil.copytree(made, tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    found = scan(Folder(tmp_path, 1, loads))
    assert versions(found) == {"UPPER": [], "a": [1]}
    assert "lower-case letters" in (found["UPPER"].reason or "")
    assert loads.taken() == [("a", 1)]


def test_a_folder_that_vanishes_leaves_what_is_known(
    tmp_path: Path, loads: Loads, caplog: pytest.LogCaptureFixture
):
    root = tmp_path / "checkpoints"
    write_tiny(root, "a", operations=("decode",))
    folder = Folder(root, 1, loads)
    known = scan(folder)
    shutil.rmtree(root / "a")
    assert scan(folder, known) == {}
    shutil.rmtree(root)
    assert scan(folder, known) == known
    assert "the checkpoint folder cannot be read" in caplog.text


def test_a_folder_says_where_it_is_and_why_it_is_empty(tmp_path: Path, loads: Loads):
    assert Folder(tmp_path, 1, loads).why_empty() == f"{tmp_path} holds none"
    assert Folder(tmp_path / "x", 1, loads).why_empty() == f"{tmp_path / 'x'} does not exist"
    (tmp_path / "file").write_text("")
    reason = f"{tmp_path / 'file'} cannot be read (Not a directory)"
    assert Folder(tmp_path / "file", 1, loads).why_empty() == reason


@pytest.mark.parametrize("name", ["", "..", "a/1", "A", "a\x00", "b", "a" * 65])
def test_only_a_name_that_is_there_is_there(tmp_path: Path, loads: Loads, name: str):
    write_tiny(tmp_path, "a", operations=("decode",))
    folder = Folder(tmp_path, 1, loads)
    assert folder.has("a")
    assert not folder.has(name)
