"""What docs/client.md and docs/formats.md show works as it is written, on the shipped checkpoints."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from support import doc_examples
from support.service_process import ROOT, ServiceProcess

PROGRAMS = doc_examples.blocks("client.md", "python")
COMMANDS = doc_examples.blocks("formats.md", "sh")


def run(command: list[str], here: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_readme_begins_with_the_same_program():
    assert f"```python\n{PROGRAMS[0]}```" in (ROOT / "README.md").read_text()


def test_the_guides_have_programs_and_commands():
    assert (len(PROGRAMS), len(COMMANDS)) == (3, 5)
    lines = PROGRAMS[0].splitlines()
    assert len([line for line in lines if line]) == 9


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_runs(number: int, shipped: ServiceProcess, tmp_path: Path):
    program = PROGRAMS[number].replace("http://127.0.0.1:8000", shipped.url)
    said = run([sys.executable, "-c", program], tmp_path)
    if number == 0:
        with Image.open(tmp_path / "boots.png") as image:
            assert image.size == (84, 84)
    else:
        assert ("invalid-field" if number == 1 else "mmd_p") in said


@pytest.mark.slow
@pytest.mark.usefixtures("curl")
def test_commands_do_what_is_said(shipped: ServiceProcess, tmp_path: Path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("report"))
    said = [
        run(["bash", "-euo", "pipefail", "-c", one.replace("localhost:8000", shipped.url)], tmp_path)
        for one in COMMANDS
    ]
    with Image.open(tmp_path / "bags.webp") as image:
        assert image.format == "WEBP"
    assert json.loads(said[0])["seeds"] == [3]
    listed, end = json.JSONDecoder().raw_decode(said[1])
    assert listed["models"]
    assert json.loads(said[1][end:])["shape"] == [16]
    assert len(json.loads(said[3])["latents"]) == 9
    for name, member in (("bags", "image"), ("latents", "latent")):
        *found, end = ((tmp_path / f"{name}.ndjson").read_text()).splitlines()
        assert json.loads(end)["done"]["count"] == len(found) == 10_000
        assert member in json.loads(found[-1])
