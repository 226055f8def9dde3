"""Machines that look for what nobody thought of: Schemathesis on the API, Atheris on what parses bytes."""

import os
import re
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pytest

from service import checkpoint
from support.image_files import whole, zoo
from support.service_process import ROOT, StartService
from support.tiny_checkpoints import write_tiny
from support.tiny_shipped_checkpoints import write_fashion
from tools.robustness_table import Measured, forms

CONFIG = ROOT / "tests" / "robustness" / "schemathesis.toml"
LIMIT_S = 1800


@forms("examples", short=2, full=50)
def test_schemathesis_finds_no_server_error_and_nothing_undocumented(
    tmp_path: Path, start_service: StartService, examples: int, measured: Measured
):
    write_fashion(tmp_path / "checkpoints")
    service = start_service(max_count=16)
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), f"--config-file={CONFIG}", "--no-color"),
        *("run", f"{service.url}/openapi.json", "--mode=all", "--seed=1", f"--max-examples={examples}"),
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S)
    assert ended.returncode == 0, ended.stdout
    generated = re.search(r"([\d,]+) generated", ended.stdout)
    selected = re.search(r"Tested: (\d+)", ended.stdout)
    assert generated
    assert selected
    metrics = service.get("/metrics").text
    failed = total(metrics, "latent_requests_total", 'status="500"')
    overflowed = total(metrics, "latent_refusals_total", 'code="inference-failed"')
    measured(
        20,
        f"{generated[1]} requests to {selected[1]} operations: {failed - overflowed:.0f} server errors, 0 "
        f"undocumented ({overflowed:.0f} latents overflowed in the model)",
    )
    assert failed == overflowed
    assert "Traceback" not in service.log()


def total(metrics: str, name: str, label: str) -> float:
    lines = [line for line in metrics.splitlines() if line.startswith(f"{name}{{") and label in line]
    return sum(float(line.split()[-1]) for line in lines)


@pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info >= (3, 14), reason="Atheris is made for Linux, up to 3.13"
)
@pytest.mark.parametrize("target", ["images", "checkpoints"])
@forms("runs", short=2000, full=20_000)
def test_atheris_finds_no_foreign_exception(target: str, tmp_path: Path, runs: int, measured: Measured):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, raw in seeds(target, tmp_path).items():
        (corpus / name.replace(" ", "-")).write_bytes(raw)
    command = [
        sys.executable,
        str(ROOT / "tests" / "robustness" / "fuzz" / f"{target}.py"),
        f"-runs={runs}",
        "-seed=1",
    ]
    inherited_mb = getrusage(RUSAGE_SELF).ru_maxrss >> 10  # Linux counts the parent's peak as the child's
    ended = subprocess.run(
        [*command, "-max_len=16384", "-timeout=10", f"-rss_limit_mb={1024 + inherited_mb}", str(corpus)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    done = re.search(r"Done (\d+) runs", ended.stderr)
    assert done, ended.stderr[-3000:]
    assert int(done[1]) >= runs
    measured(21, f"{target}: {int(done[1]):,} runs, 0 foreign exceptions")


def seeds(target: str, tmp_path: Path) -> dict[str, bytes]:
    """Return what the fuzzer starts from."""
    if target == "images":
        return {name: raw for name, raw in {**zoo(), **whole()}.items() if len(raw) < 1 << 14}
    folder = write_tiny(tmp_path, operations=("decode",))
    names = (checkpoint.MANIFEST, "golden.npz", checkpoint.MANIFEST_HASH)
    return {name: bytes([kind]) + (folder / name).read_bytes() for kind, name in enumerate(names)}
