"""What tests need of the machine, and where it is looked for: the one place that says so.

A test requests what it needs as the fixture of that name (conftest.py). Without it the test is skipped, and
the end of the run names the line that installs it; where `CI` is true the test fails instead. With
`HIDE_FROM_TESTS=chromium,curl` a run behaves as on a machine without these, with `all` as on a bare one.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

LACKS = "lacks "
"""How the reason of a skipped test begins that needs something else of the machine."""

HIDDEN = frozenset(filter(None, os.environ.get("HIDE_FROM_TESTS", "").split(",")))
FASHION_MNIST = Path(os.environ.get("FASHION_MNIST") or "/usr/share/datasets/fashion-mnist")
"""Where the whole data set lies."""


class Engine(NamedTuple):
    """A container engine and the words that begin its compose commands."""

    name: str
    compose: tuple[str, ...]


@dataclass(frozen=True)
class Need:
    """Something that a machine may lack."""

    what: str
    install: str
    """A command, or else words, for whoever wants it."""
    find: Callable[[], Any]
    """Returns it, None where it is not there."""


def find_engine() -> Engine | None:
    if shutil.which("podman") and shutil.which("podman-compose"):
        return Engine("podman", ("podman-compose",))
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        return Engine("docker", ("docker", "compose"))
    return None


def find_nginx() -> str | None:
    """Return its path, also where only an administrator's shell would find it."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def find_own_mounts() -> tuple[str, ...] | None:
    """Return the words before a command that gets mounts of its own: some may, others as their own root."""
    if not shutil.which("unshare"):
        return None
    for command in (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")):
        if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    return None


NEEDS = {
    "whole_fashion_mnist": Need(
        "the whole of Fashion-MNIST",
        "apt-get install dataset-fashion-mnist",
        lambda: FASHION_MNIST if any(FASHION_MNIST.glob("train-images-idx3-ubyte*")) else None,
    ),
    "chromium": Need(
        "Chromium",
        "apt-get install chromium",
        lambda: shutil.which("chromium") or shutil.which("chromium-browser"),
    ),
    "prometheus": Need("Prometheus", "apt-get install prometheus", lambda: shutil.which("prometheus")),
    "container_engine": Need("a container engine", "apt-get install podman podman-compose", find_engine),
    "curl": Need("curl", "apt-get install curl", lambda: shutil.which("curl")),
    "java": Need("Java", "apt-get install default-jdk-headless", lambda: shutil.which("java")),
    "nginx": Need("nginx", "apt-get install nginx-light", find_nginx),
    "own_mounts": Need(
        "mounts of one's own", "apt-get install util-linux, and the right to use it", find_own_mounts
    ),
    "git": Need("Git", "apt-get install git", lambda: shutil.which("git")),
}
"""By the names of their fixtures."""


def found(name: str) -> Any:
    """Return what is needed; without it skip the test, or fail it where `CI` is true."""
    need = NEEDS[name]
    there = None if HIDDEN & {name, "all"} else need.find()
    return there if there is not None else lacking(need.what, need.install)


def lacking(what: str, install: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI {lack(what, install)}")
    pytest.skip(lack(what, install))


def lack(what: str, install: str) -> str:
    """Return the reason to skip a test, as the end of the run repeats it."""
    return f"{LACKS}{what}: {install}"
