"""Ray Serve on a real cluster of two processors, for tests that talk to it over HTTP.

The cluster is a process of tests/clients/ray_cluster.py; what is deployed is deploy/ray/serve.yaml, by the
command of docs/ray.md.
"""

import json
import os
import secrets
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

from support import doc_examples
from support.service_process import ROOT, free_port

FILE = "deploy/ray/serve.yaml"
NAME = "latent-service"
START_LIMIT_S = 120.0
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "0.5",
}
"""Of Ray: nobody else gets in, nothing goes out, and load is noticed sooner than after 10 s."""


class Cluster:
    """A running cluster, and what is asked of it."""

    def __init__(self, python: Path, work: Path, ray_folder: str) -> None:
        self._python = python
        self._file = work / "serve.yaml"
        self._log = (work / "ray.log").open("wb")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LATENT_")},
            **SETTINGS,
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "PYTHONPATH": str(ROOT),
        }
        command = [str(python), str(ROOT / "tests" / "clients" / "ray_cluster.py"), ray_folder]
        self._process = subprocess.Popen(
            command,
            cwd=work,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._address = self._read()
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.file = yaml.safe_load((ROOT / FILE).read_text())
        """What is deployed, to be changed."""
        self.file["http_options"]["port"] = self._port
        (self.application,) = self.file["applications"]
        (self.deployment,) = self.application["deployments"]

    def deploy(self) -> None:
        """Hand the file in, as it is now."""
        self._file.write_text(yaml.safe_dump(self.file))
        _, again = doc_examples.blocks("ray.md", "sh")[:2]
        _, *arguments = shlex.split(again.replace(FILE, str(self._file)).replace("auto", self._address))
        ended = subprocess.run(
            [str(self._python.with_name("serve")), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr

    def state(self) -> Any:
        """What Ray says of the application."""
        time.sleep(0.25)  # asked without a pause, Ray has no time for anything else
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read().get(NAME, {"status": "none", "running": 0})

    def is_running(self, replicas: int) -> bool:
        state = self.state()
        assert state["status"] != "DEPLOY_FAILED", state
        return state["status"] == "RUNNING" and state["running"] == replicas

    def replicas(self) -> list[int]:
        """The processes of the replicas."""
        return [pid for pid in descendants(self._process.pid) if name_of(pid).startswith("ray::ServeReplica")]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=30)

    def stop(self) -> None:
        self._process.communicate()
        self._log.close()

    def _read(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(children.get(pid, ()))
    for one in found:
        found += children.get(one, ())
    return found


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""
