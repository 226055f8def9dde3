"""The study of two folders of one's own: what it writes is read as a user's folder is."""

from dataclasses import replace
from pathlib import Path

import pytest

from training.data.image_folder import image_folder
from training.studies import folders
from training.studies.findings import Plot, Table

SETTINGS = {name: {"updates": 2, "batch_size": 4, "width": 8} for name in ("cyclegan", "discogan")}


def test_the_pieces_of_photographs_are_a_folder_of_two_classes_in_colour(tmp_path: Path):
    folders.write_pieces(tmp_path / "pieces")
    found = image_folder(tmp_path / "pieces", 64, None, lambda _: None)
    assert found.classes == ("flower", "temple")
    assert (found.channels, found.size) == (3, 64)
    assert len(found.train) + len(found.test) == 2 * folders.PIECES


@pytest.mark.slow
def test_both_recipes_go_both_ways_between_the_folders(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    digits = next(pair for pair in folders.PAIRS if pair.size == 28)
    monkeypatch.setattr(folders, "PAIRS", (replace(digits, settings=SETTINGS),))
    found = folders.run()
    (table,) = (part for part in found.parts if isinstance(part, Table))
    assert [row[:2] for row in table.rows] == [
        (f"{recipe}, grey digits", way)
        for recipe in ("CycleGAN", "DiscoGAN")
        for way in ("ones to zeros", "zeros to ones")
    ]
    assert len([part for part in found.parts if isinstance(part, Plot)]) == 2
    for row in table.rows:
        for value in row[4:]:
            assert isinstance(value, float)
            assert 0 <= value <= 2
