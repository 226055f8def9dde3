"""/models/{name}/drift: live latents beside those of training."""

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.comparison.drift import FEWEST, Windows
from service.media import png
from support.in_process import InProcess
from support.problem_json import check_problem
from support.tiny_checkpoints import write_tiny

ROWS = 50


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[InProcess]:
    """A service that keeps windows."""
    (tmp_path / "windows").mkdir()
    write_tiny(tmp_path / "checkpoints", "tiny", operations=("encode",), reference=("a", "b"))
    write_tiny(tmp_path / "checkpoints", "plain", operations=("encode",))
    windows = Windows(tmp_path / "windows", 1, ROWS, 2)
    with InProcess(tmp_path / "checkpoints", windows=windows) as started:
        yield started


def test_what_was_encoded_is_compared_once_it_is_enough(watched: InProcess):
    few = watched.get("/models/tiny/drift").json()
    assert (few["images"], few["window"], few["mmd"]) == (0, ROWS, None)
    pixels = np.random.default_rng(0).integers(0, 256, (FEWEST, 8, 8), np.uint8)
    for one in pixels:
        image = base64.b64encode(png.write(one)).decode()
        watched.post("/encode", json={"images": [image], "model": "tiny"})
    found = watched.get("/models/tiny/drift").json()
    assert (found["model"], found["version"], found["images"]) == ("tiny", 1, FEWEST)
    assert found["mmd"] > 0
    assert 0 <= found["mmd_p"] <= 1


def test_a_model_needs_a_reference_and_the_service_windows(watched: InProcess, client: InProcess):
    check_problem(watched.get("/models/plain/drift"), 409, "operation-not-offered")
    check_problem(watched.get("/models/nothing/drift"), 404, "unknown-model")
    off = check_problem(client.get("/models/vae/drift"), 409, "operation-not-offered")
    assert off["detail"] == "Drift is off; start the service with LATENT_DRIFT_ROWS=500 or so."
