"""Other people's clients. Heavy ones have environments of their own under runs/clients, made once.

    python = environment("kserve", "kserve==0.15.2")
    answer = run(python, "kserve_client.py", service.url)

A script of this folder does what a user of the client would, and prints what it got as JSON.
"""

import json
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.service_process import ROOT

ENVIRONMENTS = ROOT / "runs" / "clients"

Environment = Callable[..., Path]
Run = Callable[..., Any]


@pytest.fixture(scope="session")
def environment() -> Environment:
    """Make environments: environment(name, *pinned packages), with `borrow=True` on top of our packages."""

    def make(name: str, *packages: str, borrow: bool = False) -> Path:
        folder = ENVIRONMENTS / name
        python, done = folder / "bin" / "python", folder / "packages.txt"
        wanted = "\n".join((*packages, str(borrow)))
        if done.exists() and done.read_text() == wanted:
            return python
        venv.create(folder, clear=True, with_pip=True)
        if borrow:
            (site,) = folder.glob("lib/python3*/site-packages")
            (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
        done.write_text(wanted)
        return python

    return make


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a script of this folder and return the JSON that it prints: run(python, script, *arguments)."""

    def call(python: Path | str, script: str, *arguments: object) -> Any:
        command = [str(python), str(Path(__file__).parent / script), *map(str, arguments)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr[-3000:]
        return json.loads(ended.stdout.splitlines()[-1])

    return call
