"""Hostile model names: whatever is asked for, no file outside the checkpoint folder is looked at."""

import random
import string
from pathlib import Path

import httpx
import pytest

from support.service_process import ServiceProcess, StartService
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured

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
def watched(request: pytest.FixtureRequest, tmp_path: Path, start_service: StartService) -> ServiceProcess:
    """A service whose every look at a file is noted."""
    write_tiny(tmp_path / "checkpoints", "tiny", default_for=("encode", "decode"))
    (tmp_path / "admin").write_text("admin-secret")
    return start_service(workers=request.param, admin_key_file=tmp_path / "admin", audit_files=True)


def ask_everywhere(client: httpx.Client, name: str) -> list[httpx.Response]:
    """Ask for a name wherever one may stand."""
    segment = "".join(f"%{byte:02x}" for byte in name.encode())
    raw = {"content": b"x", "headers": {"content-type": "image/png"}}
    return [
        client.post("/decode", json={"latents": [[0, 0, 0, 0]], "model": name}),
        client.post(f"/encode?model={segment}", **raw),
        *([client.get(f"/models/{segment}")] if segment else []),  # without a name it is the list
        client.get(f"/docs/examples/{segment}"),
        client.get(f"/docs/assets/{segment}"),
        client.post(f"/admin/models/{segment}/load"),
        client.post(f"/admin/models/{segment}/unload"),
    ]


def is_its_own(path: Path) -> bool:
    """Tell whether a worker looks there by itself: its notes for other workers, and its own memory."""
    return "latent-service-" in str(path) or path == Path("/proc/self/statm")


def test_hostile_names_are_refused_and_open_nothing(
    watched: ServiceProcess, tmp_path: Path, measured: Measured
):
    checkpoints = tmp_path / "checkpoints"
    names = hostile_names()
    assert len(names) == 200
    assert any(path.name == "checkpoint.json" for path in watched.files())  # it does note
    asked = 0
    with watched.client(headers={"X-API-Key": "admin-secret"}) as client:
        ask_everywhere(client, "nowhere")  # what is imported late is imported now
        before = len(watched.files())
        for name in names:
            answers = ask_everywhere(client, name)
            assert {answer.status_code for answer in answers} <= {404, 405, 422}, name
            assert all(len(answer.content) < 4096 for answer in answers)
            asked += len(answers)
    looked_at = [path for path in watched.files()[before:] if not is_its_own(path)]
    assert [path for path in looked_at if path.is_file()] == []
    assert [path for path in looked_at if not path.is_relative_to(checkpoints)] == []
    measured(13, f"{len(watched.workers())} worker(s): {asked} requests refused, 0 opens outside")
