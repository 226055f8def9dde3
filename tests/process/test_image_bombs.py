"""Image files that want much memory or time: each is looked at in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.media import images
from support.image_files import ballast, bombs

BOMB_RUN = """
import resource, sys, time
from pathlib import Path
from service.media import images
from service.media.image_errors import ImageError
from service.checkpoint.manifest import ImageSpec

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

spec = ImageSpec(channels=1, height=28, width=28)
raw = Path(sys.argv[1]).read_bytes()
before, start = peak_mib(), time.perf_counter()
try:
    images.decode(raw, spec, 50_000_000)
    outcome = "read"
except ImageError as error:
    outcome = type(error).__name__
print(outcome, time.perf_counter() - start, peak_mib() - before)
"""


@pytest.mark.parametrize("name", list(bombs()))
def test_a_bomb_is_refused_quickly_and_takes_no_memory(name, tmp_path):
    assert fate(bombs()[name], tmp_path) in {"BrokenImage", "ImageTooLarge"}


@pytest.mark.parametrize("name", list(ballast()))
def test_a_bomb_in_metadata_is_passed_over_quickly_and_takes_no_memory(name, tmp_path):
    assert fate(ballast()[name], tmp_path) == "read"


def fate(raw, tmp_path):
    """Return what becomes of a file, which has to take little time and memory."""
    path = tmp_path / "bomb"
    path.write_bytes(raw)
    root = Path(images.__file__).parents[1]
    seconds = []
    for _ in range(2):
        command = [sys.executable, "-c", BOMB_RUN, str(path)]
        run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
        kind, took, grown = run.stdout.split()
        assert float(grown) < 64
        seconds.append(float(took))
    assert min(seconds) < 0.1
    return kind
