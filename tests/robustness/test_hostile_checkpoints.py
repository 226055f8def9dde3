"""Checkpoints made to do harm, beside those of a running service: nothing is run, nothing outside opened."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service import checkpoint
from support.hostile_checkpoints import (
    GOLDEN,
    GRAPHS,
    INERT,
    Canary,
    point_outside,
    rename_golden,
    rename_graph,
    reseal,
    write_disguised,
)
from support.opened_files import Watched
from support.service_process import ServiceProcess, StartService, wait_until
from support.tiny_checkpoints import describe_tiny, write_tiny
from tools.robustness_table import Measured

BAIT = "weights.bin"
ESCAPES = [
    "../../../bait/weights.bin",
    "../../../bait/../bait/weights.bin",
    "..",
    "/etc/passwd",
    "./decode.onnx",
    "a/../decode.onnx",
    "..\\..\\bait\\weights.bin",
    "decode.onnx\0",
    "~/weights.bin",
    "$HOME/weights.bin",
    "file:///etc/passwd",
    "http://127.0.0.1/decode.onnx",
]
PSEUDO = ("/proc/", "/sys/", "/dev/")


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[Watched]:
    """A folder outside that nobody may look into."""
    folder = tmp_path / "bait"
    folder.mkdir()
    (folder / BAIT).write_bytes(bytes(4096))
    watched = Watched(folder)
    yield watched
    watched.close()


def hostile(root: Path, canary: Path, bait: Path) -> dict[str, str]:
    """Write one checkpoint per attack, and return what its refusal has to say; nothing if it may serve."""
    expected: dict[str, str] = {}

    def name(kind: str) -> str:
        expected[f"{kind}-{len(expected)}"] = ""
        return f"{kind}-{len(expected) - 1}"

    for disguises, words in (
        (GOLDEN, "not an archive of plain arrays"),
        (GRAPHS, "not a graph that can be run"),
    ):
        for disguise in disguises.values():
            one = name("pickle")
            write_disguised(root, one, disguise, canary)
            expected[one] = words
    for disguise in INERT.values():
        write_disguised(root, name("inert"), disguise, canary)
    for location in (str(bait / BAIT), f"../../../bait/{BAIT}", f"{os.path.relpath(bait)}/{BAIT}"):
        one = name("external")
        description, files = describe_tiny(one, operations=("decode",))
        files["decode.onnx"] = point_outside(files["decode.onnx"], location)
        checkpoint.write(root, description, files)
        expected[one] = "keeps weights outside the file"
    for escape in ESCAPES:
        for rename in (rename_graph, rename_golden):
            one = name("escape")
            reseal(write_tiny(root, one, operations=("decode",)), rename(escape))
            expected[one] = "checkpoint.json: "
    for file in ("decode.onnx", "golden.npz", "checkpoint.json", "checkpoint.sha256"):
        one = name("link")
        folder = write_tiny(root, one, operations=("decode",))
        (folder / file).unlink()
        (folder / file).symlink_to(bait / BAIT)
        expected[one] = f"{file} is missing"
        one = name("pipe")
        folder = write_tiny(root, one, operations=("decode",))
        (folder / file).unlink()
        os.mkfifo(folder / file)
        expected[one] = f"{file} is missing"
    return expected


def check_refusals(service: ServiceProcess, expected: dict[str, str]) -> dict[str, int]:
    """Check that every attack is refused by name and in its own words, and count them."""
    counts = {"refused": 0, "inert": 0}
    models = {model["name"]: model for model in service.get("/models").json()["models"]}
    assert set(models) == {*expected, "good"}
    for name, words in expected.items():
        model = models[name]
        if words:
            assert model["state"] == "refused", name
            assert words in model["reason"], name
            counts["refused"] += 1
        else:
            assert model["state"] == "serving", (name, model["reason"])
            counts["inert"] += 1
    return counts


def outside(service: ServiceProcess, root: Path, known: set[Path]) -> set[Path]:
    """Return the files that were opened since, other than checkpoints, metrics and the kernel's own."""
    return {
        path
        for path in map(Path, map(os.path.normpath, service.files()))
        if path not in known
        and not path.is_relative_to(root)
        and not str(path).startswith(PSEUDO)
        and not path.parent.name.startswith("latent-metrics-")
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_hostile_checkpoints_are_refused_unrun_while_others_serve(
    tmp_path: Path, start_service: StartService, bait: Watched, workers: int, measured: Measured
):
    root, canary = tmp_path / "checkpoints", tmp_path / "sung"
    write_tiny(root, "good", default_for=("decode",))
    service = start_service(workers=workers, audit_files=True, reload_interval_s=0.05)
    known = {Path(os.path.normpath(path)) for path in service.files()}
    expected = hostile(tmp_path / "made", canary, tmp_path / "bait")
    bait.opened()
    for made in (tmp_path / "made").iterdir():
        made.rename(root / made.name)
    wait_until(lambda: len(service.get("/models").json()["models"]) == len(expected) + 1, "all are seen", 20)
    wait_until(
        lambda: service.log().count(" refused ") >= workers * sum(map(bool, expected.values())), "by all"
    )
    counts = check_refusals(service, expected)
    with service.client() as client:
        body: dict[str, Any] = {"latents": [[0.0] * 4]}
        assert client.post("/decode", json=body).json()["model"] == "good"
        for name, words in expected.items():
            answer = client.post("/decode", json={**body, "model": name})
            assert answer.status_code == (404 if words else 200), name
    assert not canary.exists()
    assert bait.opened() == []
    assert outside(service, root, known) == set()
    assert "canary" not in service.log()
    measured(
        2,
        f"{workers} worker(s): {counts['refused']} attacks refused by name, {counts['inert']} pickles and "
        "scripts beside what is loaded left alone; 0 canaries, 0 opens outside",
    )


def test_the_bait_would_be_noticed(tmp_path: Path, bait: Watched):
    """The watch sees what is opened: else the test above says nothing."""
    (tmp_path / "bait" / BAIT).read_bytes()
    assert bait.opened() == [BAIT]


def test_the_canary_would_sing(tmp_path: Path):
    pickle.loads(pickle.dumps(Canary(tmp_path / "sung")))
    assert (tmp_path / "sung").exists()
