"""Hostile model names: whatever is asked for, no file outside the checkpoint folder is looked at."""

import random
import string
from pathlib import Path

import httpx
import pytest

from conftest import StartService
from process import ServiceProcess
from tiny import write_tiny

AUDIT = """
import os, sys
log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def note(event, arguments):
    if event in ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.symlink"):
        os.write(log, (repr((event, str(arguments[0]))) + "\\n").encode())
sys.addaudithook(note)
"""

HOSTILE = [
    "..",
    "../..",
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "tiny/../../secret",
    "tiny/1",
    "tiny/1/decode.onnx",
    "tiny/.",
    "./tiny",
    ".tiny",
    "~root",
    "$HOME",
    "%2e%2e%2f",
    "..%2f..%2fetc%2fpasswd",
    "..%252f..%252fetc",
    "..;/tiny",
    "tiny\0",
    "\0",
    "tiny\n",
    "tiny\r\nX-Injected: 1",
    "TINY",
    "Tiny",
    " tiny",
    "tiny ",
    "tiny.",
    "tiny@",
    "tiny@0",
    "tiny@01",
    "tiny@-1",
    "tiny@../1",
    "tiny@1@1",
    "@1",
    "@",
    "",
    " ",
    "t\u0456ny",
    "\u202etiny",
    "\uff0e\uff0e\uff0f",
    "\U0001f600",
    "x" * 65,
    "x" * 10_000,
    "file:///etc/passwd",
    "http://127.0.0.1:1/tiny",
    "\\\\host\\share",
    "CON",
    "*",
    "?",
    "[a-z]*",
    "{tiny}",
    "';--",
    "<script>alert(1)</script>",
    "${jndi:ldap://127.0.0.1/x}",
    "__class__",
    "None",
    "true",
    "0",
    "-",
]


def hostile_names() -> list[str]:
    """Return two hundred: those above, and as many more mixed of what makes paths."""
    order = random.Random(0)
    signs = [*string.ascii_letters, *"../..//\\\\%@:~$*?[] \t\0", "tiny", "%2f", "..", "/etc/", "\u2215"]
    mixed = ["".join(order.choices(signs, k=order.randint(1, 30))) for _ in range(200 - len(HOSTILE))]
    return HOSTILE + mixed


@pytest.fixture(params=[1, 2])
def watched(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    start_service: StartService,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[ServiceProcess, Path]:
    """A service whose every look at a file is noted in a log."""
    write_tiny(tmp_path / "checkpoints", "tiny", default_for=("encode", "decode"))
    (tmp_path / "admin").write_text("admin-secret")
    log = tmp_path / "audit.log"
    (tmp_path / "sitecustomize.py").write_text(AUDIT.format(log=str(log)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    service = start_service(workers=request.param, admin_key_file=tmp_path / "admin")
    return service, log


def ask_everywhere(client: httpx.Client, name: str) -> list[httpx.Response]:
    """Ask for a name wherever one may stand."""
    segment = "".join(f"%{byte:02x}" for byte in name.encode())
    raw = {"content": b"x", "headers": {"content-type": "image/png"}}
    return [
        client.post("/decode", json={"latents": [[0, 0, 0, 0]], "model": name}),
        client.post(f"/encode?model={segment}", **raw),
        client.get(f"/models/{segment}"),
        client.get(f"/docs/examples/{segment}"),
        client.get(f"/docs/assets/{segment}"),
        client.post(f"/admin/models/{segment}/load"),
        client.post(f"/admin/models/{segment}/unload"),
    ]


def test_hostile_names_are_refused_and_open_nothing(watched: tuple[ServiceProcess, Path], tmp_path: Path):
    service, log = watched
    names = hostile_names()
    assert len(names) == 200
    assert "checkpoint.json" in log.read_text()  # it does note
    with service.client(headers={"X-API-Key": "admin-secret"}) as client:
        ask_everywhere(client, "nowhere")  # what is imported late is imported now
        before = len(log.read_text())
        for name in names:
            answers = ask_everywhere(client, name)
            assert {answer.status_code for answer in answers} <= {404, 405, 422}, name
            assert all(len(answer.content) < 4096 for answer in answers)
    looked_at = [line for line in log.read_text()[before:].splitlines() if "/latent-service-" not in line]
    assert [line for line in looked_at if "('open'" in line] == []
    assert [line for line in looked_at if str(tmp_path / "checkpoints") not in line] == []
