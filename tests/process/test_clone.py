"""The first of the README's two commands, as a stranger runs it: in a fresh clone, with nothing installed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from support.service_process import ROOT, free_port

MAX_INSTALLED_MB = 400


@pytest.mark.slow
@pytest.mark.usefixtures("git")
def test_make_serve_in_a_fresh_clone_serves_without_torch(tmp_path: Path):
    clone, port = tmp_path / "clone", free_port()
    subprocess.run(["git", "clone", "--quiet", f"file://{ROOT}", clone], check=True)
    log = (tmp_path / "log").open("w+")
    making = subprocess.Popen(
        ["make", "serve"],
        cwd=clone,
        env={**os.environ, "LATENT_PORT": str(port)},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 240
        while not _ready(port):
            assert making.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        boots = httpx.post(
            f"http://127.0.0.1:{port}/generate",
            json={"label": "Ankle boot", "count": 9, "seed": 7},
            headers={"accept": "image/png"},
        )
        assert boots.headers["content-type"] == "image/png"
    finally:
        os.killpg(making.pid, signal.SIGTERM)
        making.wait(timeout=30)
        log.close()
    packages = subprocess.run(
        [clone / ".venv/bin/python", "-m", "pip", "list", "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "fastapi==" in packages
    assert "torch==" not in packages
    size = sum(
        path.stat().st_size
        for path in (clone / ".venv").rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    assert size < MAX_INSTALLED_MB * 1e6


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
    except httpx.TransportError:
        return False
