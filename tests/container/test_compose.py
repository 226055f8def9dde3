"""The compose file with a real engine: built, brought up, asked through its port, stopped under load."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.version import VERSION
from support.requirements import Engine

ROOT = Path(__file__).parents[2]
URL = "http://127.0.0.1:8000"
IMAGE = f"latent-service:{VERSION}"
MAX_ADDED_BYTES = 300_000_000


class Project:
    """The compose file under an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def compose(self, *words: str, **environment: str) -> str:
        """Run a compose command and return what it prints."""
        done = subprocess.run(
            [*self.engine.compose, *words],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=420,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, *words: str) -> str:
        """Run a command of the engine and return what it prints."""
        command = [self.engine.name, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def container(self) -> str:
        """Return the id of the running container."""
        return self.compose("ps", "--quiet").strip()


def wait_until_ready(project: Project) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx.get(f"{URL}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, project.ask("logs", project.container())
        time.sleep(0.05)


@pytest.fixture(scope="module")
def project(container_engine: Engine) -> Project:
    """The project, its image built."""
    made = Project(container_engine)
    made.compose("build", BUILDAH_LAYERS="false")  # to keep every step would take podman half of the time
    if container_engine.name == "docker":
        made.ask("pull", "--quiet", "python:3.11-slim")  # its build alone does not keep what it is based on
    return made


@pytest.fixture(scope="module")
def running(project: Project) -> Iterator[str]:
    """The container, for all tests; the last one stops it."""
    project.compose("up", "-d")
    try:
        wait_until_ready(project)
        yield project.container()
    finally:
        project.compose("down")


def test_the_image_adds_less_than_300_mb_to_its_base(project: Project):
    sizes = [
        int(project.ask("image", "inspect", "--format", "{{.Size}}", name))
        for name in (IMAGE, "python:3.11-slim")
    ]
    added = sizes[0] - sizes[1]
    print(f"the image adds {added / 1e6:.0f} MB to its base of {sizes[1] / 1e6:.0f} MB")
    assert 0 < added < MAX_ADDED_BYTES


def test_a_request_through_the_published_port_is_answered(running: str):
    answer = httpx.post(f"{URL}/generate", json={"label": "Ankle boot", "count": 2, "seed": 7})
    assert answer.status_code == 200
    assert answer.json()["labels"] == ["Ankle boot", "Ankle boot"]


def test_its_own_names_are_answered_and_others_refused(running: str):
    for host, status in {"localhost:8000": 200, "latent-service:8000": 200, "attacker.example": 421}.items():
        assert httpx.get(f"{URL}/models", headers={"Host": host}).status_code == status
    assert httpx.get(f"{URL}/metrics", headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_the_process_is_nobody_in_particular_and_can_write_nothing(project: Project, running: str):
    status = project.ask(
        "exec", running, "/opt/latent/bin/python", "-c", "print(open('/proc/1/status').read())"
    )
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {"10001"}
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    write = "open('/srv/written', 'w')"
    tried = subprocess.run(
        [project.engine.name, "exec", "--user", "0", running, "/opt/latent/bin/python", "-c", write],
        capture_output=True,
        text=True,
    )
    assert "Read-only file system" in tried.stderr
    size = "import os; s = os.statvfs('/tmp'); print(s.f_blocks * s.f_frsize, s.f_flag & os.ST_NOEXEC)"
    of_tmp = project.ask("exec", running, "/opt/latent/bin/python", "-c", size).split()
    assert (int(of_tmp[0]), int(of_tmp[1]) > 0) == (64 << 20, True)


def test_the_bill_of_materials_is_what_is_installed(project: Project, running: str):
    inside = (
        "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()))"
    )
    installed = project.ask("exec", running, "/opt/latent/bin/python", "-c", inside).split()
    read = "print(open('/opt/latent/sbom.cdx.json').read())"
    bill = json.loads(project.ask("exec", running, "/opt/latent/bin/python", "-c", read))
    assert bill["bomFormat"] == "CycloneDX"
    assert sorted(f"{one['name']}=={one['version']}" for one in bill["components"]) == installed
    assert any(one.startswith("onnxruntime==") for one in installed)


def test_memory_is_limited_and_a_killed_service_comes_back(project: Project, running: str):
    limit = project.ask("inspect", "--format", "{{.HostConfig.Memory}}", running)
    assert int(limit) == 2 << 30
    assert project.ask("inspect", "--format", "{{.HostConfig.PidsLimit}}", running) == "512"
    started = project.ask("inspect", "--format", "{{.State.StartedAt}}", running)
    process_id = int(project.ask("inspect", "--format", "{{.State.Pid}}", running))
    os.kill(process_id, signal.SIGKILL)  # as the kernel does
    deadline = time.monotonic() + 30
    while project.ask("inspect", "--format", "{{.State.StartedAt}}", running) == started:
        assert time.monotonic() < deadline, "it is not started again"
        time.sleep(0.1)
    wait_until_ready(project)
    assert httpx.post(f"{URL}/generate", json={"seed": 7}).status_code == 200


def test_the_health_check_passes(project: Project, running: str):
    if project.engine.name == "podman":
        project.ask("healthcheck", "run", running)
        return
    deadline = time.monotonic() + 60
    while json.loads(project.ask("inspect", running))[0]["State"]["Health"]["Status"] != "healthy":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_stop_under_load_loses_nothing(project: Project, running: str):
    """Every request that got a connection gets its answer; after the stop nothing is listening."""
    ok, failed = [], []
    body = {"count": 32, "truncation": 1.0}

    def load() -> None:
        with httpx.Client(timeout=30) as client:
            while True:
                try:
                    answer = client.post(f"{URL}/generate", json=body)
                except httpx.ConnectError:
                    return  # the port is closed: nothing was accepted
                except httpx.TransportError as error:
                    failed.append(repr(error))
                    return
                (ok if answer.status_code == 200 else failed).append(answer.status_code)

    with ThreadPoolExecutor(8) as pool:
        loads = [pool.submit(load) for _ in range(8)]
        deadline = time.monotonic() + 20
        while len(ok) < 40:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        project.compose("stop")
        for one in loads:
            one.result(timeout=30)
    assert not failed
    assert project.ask("inspect", "--format", "{{.State.ExitCode}}", running) == "0"
