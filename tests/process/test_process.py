"""The process: how it starts, what it says, and how it refuses to start."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from service.inference import device
from support.process_resources import cpu_seconds
from support.service_process import ROOT, StartService, run_service, wait_until
from support.tiny_checkpoints import write_tiny


def test_start_says_where_and_what_in_one_line(tmp_path: Path, start_service: StartService):
    write_tiny(tmp_path / "checkpoints", "tiny", 3)
    write_tiny(tmp_path / "checkpoints", "other")
    service = start_service()
    assert f"{service.url} serves other@1, tiny@3\n" in service.log()
    assert service.get("/health/ready").status_code == 200


@pytest.mark.parametrize(("keys", "warnings"), [("", 1), ("one", 0), (None, 0)])
def test_empty_keys_are_warned_of_once_at_start(
    tmp_path: Path, start_service: StartService, keys: str | None, warnings: int
):
    write_tiny(tmp_path / "checkpoints")
    given = {} if keys is None else {"LATENT_API_KEYS": keys}
    service = start_service(workers=2, variables={"LATENT_ALLOW_NO_KEY": "true", **given})
    service.stop()
    assert service.wait() == 0  # and all that was logged is written
    assert service.log().count("LATENT_API_KEYS is empty and LATENT_ALLOW_NO_KEY true") == warnings


def test_it_is_ready_after_two_seconds_of_work(tmp_path: Path, start_service: StartService):
    write_tiny(tmp_path / "checkpoints")
    service = start_service()
    assert service.get("/health/ready").status_code == 200
    assert cpu_seconds([service.process.pid, *service.workers()]) < 2


def test_it_takes_less_than_150_megabytes(tmp_path: Path, start_service: StartService):
    write_tiny(tmp_path / "checkpoints")
    service = start_service()
    service.get("/models")
    status = Path(f"/proc/{service.workers()[0]}/status").read_text()
    resident_kb = int(status.split("VmRSS:")[1].split()[0])
    assert resident_kb < 150_000


def test_service_without_checkpoints_lives_but_is_not_ready(start_service: StartService):
    service = start_service()
    assert "serves no checkpoints yet" in service.log()
    assert service.get("/health/live").status_code == 200
    assert service.get("/health/ready").status_code == 503


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("missing", "does not exist"),
        ("empty", "holds none"),
        ("file", "cannot be read (Not a directory)"),
    ],
)
def test_a_folder_without_checkpoints_is_named_with_what_to_do(
    tmp_path: Path, start_service: StartService, state: str, reason: str
):
    folder = tmp_path / "checkpoints"
    if state == "file":
        folder.touch()
    elif state == "empty":
        folder.mkdir()
    wanted = f"no checkpoints: {folder} {reason}; --checkpoints or LATENT_CHECKPOINTS names another folder\n"
    assert wanted in start_service().log()


def test_corrupt_checkpoint_is_refused_by_name_while_the_others_serve(
    tmp_path: Path, start_service: StartService
):
    write_tiny(tmp_path / "checkpoints", "good")
    (write_tiny(tmp_path / "checkpoints", "bad") / "decode.onnx").write_bytes(b"")
    service = start_service()
    models = {model["name"]: model for model in service.get("/models").json()["models"]}
    assert (models["good"]["state"], models["bad"]["state"]) == ("serving", "refused")
    assert "decode.onnx" in models["bad"]["reason"]
    assert service.get("/health/ready").status_code == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_in_use_is_one_clear_line(workers: str):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_service("--port", port, "--workers", workers)
    assert ended.returncode == 1
    assert ended.stderr == f"cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(["--port", "x"], "--port"), (["--host", "0.0.0.0"], "host"), (["--nonsense"], "--nonsense")],
)
def test_bad_setting_is_one_clear_line(arguments: list[str], name: str):
    ended = run_service(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert name in ended.stderr


def why_no_cuda() -> str:
    """Return what `device: cuda` is refused with; nothing where there is a GPU."""
    try:
        device.check("cuda")
    except device.NoSuchDevice as error:
        return str(error)
    return ""


@pytest.mark.skipif(not why_no_cuda(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_one_clear_line():
    ended = run_service("--device", "cuda")
    assert (ended.returncode, ended.stderr) == (2, f"{why_no_cuda()}\n")
    assert re.match("device: cuda needs (onnxruntime-gpu|an NVIDIA GPU)", ended.stderr)


def test_bad_variable_is_one_clear_line():
    ended = run_service(LATENT_WORKERS="many")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "LATENT_WORKERS" in ended.stderr


def test_help_explains_every_flag():
    ended = run_service("--help")
    assert ended.returncode == 0
    assert ended.stdout.startswith("usage: python -m service ")
    assert "--reload-interval-s" in ended.stdout
    assert "Seconds between looks at the checkpoint folder" in " ".join(ended.stdout.split())


def test_interrupt_while_starting_leaves_no_traceback(tmp_path: Path):
    write_tiny(tmp_path, slow_ms=300)
    command = [sys.executable, "-m", "service", "--port=0", f"--checkpoints={tmp_path}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    maps = Path(f"/proc/{process.pid}/maps")
    wait_until(lambda: "onnxruntime" in maps.read_text(), "it loads")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors
    assert process.returncode in (0, -signal.SIGINT)


def test_connection_survives_many_requests(tmp_path: Path, start_service: StartService):
    write_tiny(tmp_path / "checkpoints", default_for=("decode",))
    with start_service().client() as client:
        for _ in range(100):
            assert client.post("/decode", json={"latents": [[0, 0, 0, 0]]}).status_code == httpx.codes.OK
