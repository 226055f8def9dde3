"""docs/robustness.md has every promise, in the words of the tests."""

import re

from support.service_process import ROOT
from tools import robustness_table

DOCUMENT = (ROOT / "docs" / "robustness.md").read_text()


def test_the_table_has_every_row_with_its_pass_line():
    found = {
        int(match[1]): (match[2], match[3])
        for match in re.finditer(r"^\| (\d+) \| (.*?) \| (.*?) \| .+ \|$", DOCUMENT, re.M)
    }
    assert found == robustness_table.ROWS
    assert list(found) == sorted(found)


def test_every_row_has_a_test_that_measures_it():
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    measured = set(map(int, re.findall(r"\bmeasured\(\s*(\d+),", tests)))
    assert measured == robustness_table.ROWS.keys()


def test_the_commands_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for command in ("-m pytest -m chaos", "tools/robustness_table.py"):
        assert command in DOCUMENT
        assert command in makefile
