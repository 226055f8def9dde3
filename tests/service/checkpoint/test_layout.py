"""Layout: where checkpoints are found, whoever brought them."""

import shutil
from pathlib import Path

import pytest

from service.checkpoint import layout
from support.tiny_checkpoints import write_tiny


def test_a_folder_of_names_is_of_no_single_one(tmp_path: Path):
    write_tiny(tmp_path, "a")
    write_tiny(tmp_path, "7", 2)
    assert layout.of_one_name(tmp_path) == {}
    assert layout.of_name(tmp_path, "7") == {2: tmp_path / "7" / "2"}
    assert layout.of_one_name(tmp_path / "nowhere") == {}


def test_versions_alone_have_the_name_that_they_state(tmp_path: Path):
    for version in (2, 10):
        write_tiny(tmp_path, version=version)
    root = (tmp_path / "tiny").rename(tmp_path / "models")
    assert list(layout.of_one_name(root).items()) == [("tiny", {10: root / "10", 2: root / "2"})]
    (root / "10" / "checkpoint.json").write_bytes(b"broken")
    assert layout.of_one_name(root) == {"tiny": {10: root / "10", 2: root / "2"}}
    (root / "2" / "checkpoint.json").write_bytes(b"broken")
    assert layout.of_one_name(root) == {"models": {10: root / "10", 2: root / "2"}}


def test_a_checkpoint_alone_is_what_it_states(tmp_path: Path):
    root = tmp_path / "models"
    shutil.move(write_tiny(tmp_path, version=5), root)
    assert layout.of_one_name(root) == {"tiny": {5: root}}
    (root / "checkpoint.json").write_bytes(b"broken")
    assert layout.of_one_name(root) == {"models": {1: root}}


@pytest.mark.parametrize("target", ["checkpoint.json", "nowhere", "x" * 300, "7"])
def test_a_link_that_leads_nowhere_is_no_manifest(tmp_path: Path, target: str):
    write_tiny(tmp_path, "a")
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "checkpoint.json").symlink_to(target)
    assert layout.of_one_name(tmp_path) == {}
    (tmp_path / "checkpoint.json").symlink_to(target)
    assert layout.of_one_name(tmp_path) == {}
